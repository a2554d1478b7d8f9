"""What the methods of a user's class may return, and what is refused by the method's name."""

import pytest
import torch

from simlayer.quantities.returned import check_returned, check_vectors

STATE = torch.zeros(2, 5, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_floating_point_numbers_of_the_shape_are_accepted_in_any_precision(dtype):
    check_returned(torch.zeros(2, dtype=dtype), (2,), STATE, name="Own.energy", rule="energies")


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (None, "got NoneType"),
        (torch.zeros(3), r"got shape \(3,\)"),
        (torch.zeros(2).long(), "got torch.int64 on cpu"),
        (torch.zeros(2).bool(), "got torch.bool on cpu"),
        (torch.zeros(2) * 1j, "got one that is complex"),
        (torch.zeros(2).to_sparse(), "got one that is sparse"),
        (torch.zeros(2, device="meta"), "got one that is on the device 'meta'"),
    ],
)
def test_what_is_no_plain_tensor_of_the_shape_is_refused_by_the_name_of_the_method(value, got):
    expected = rf"^Own.energy must return energies, a tensor of shape \(2,\), {got}"
    with pytest.raises(TypeError, match=expected):
        check_returned(value, (2,), STATE, name="Own.energy", rule="energies")


def test_only_another_shape_is_answered_with_the_remedy_for_shapes():
    for value, answered in ((torch.zeros(3), True), (torch.zeros(2).long(), False)):
        with pytest.raises(TypeError) as caught:
            check_returned(value, (2,), STATE, name="Own.energy", rule="energies", hint=" Squeeze.")
        assert str(caught.value).endswith("Squeeze.") == answered


@pytest.mark.parametrize("shape", [(3,), (1, 3), (5, 3), (1, 5, 3), (2, 1, 3)])
def test_only_vectors_that_are_added_may_be_shared_by_vertices_or_samples(shape):
    check_vectors(torch.zeros(shape), STATE, name="Own.forward", added=True)
    with pytest.raises(TypeError, match=r"^Own.forward must return a vector for every vertex.*\(2, 5, 3\)"):
        check_vectors(torch.zeros(shape), STATE, name="Own.forward")


def test_only_vectors_that_are_added_may_be_of_a_lower_precision_and_none_of_a_higher():
    check_vectors(STATE, STATE.double(), name="Own.forward", added=True)
    with pytest.raises(TypeError, match=r"in the state's torch.float64, got torch.float32"):
        check_vectors(STATE, STATE.double(), name="Own.forward")
    with pytest.raises(TypeError, match=r"in the state's torch.float32, got torch.float64"):
        check_vectors(STATE.double(), STATE, name="Own.forward", added=True)


@pytest.mark.parametrize("shape", [(), (5,), (5, 1), (3, 5, 3), (1, 2, 5, 3)])
def test_vectors_that_do_not_fit_a_state_are_refused(shape):
    with pytest.raises(TypeError, match="must return a vector for every vertex"):
        check_vectors(torch.zeros(shape), STATE, name="Own.forward", added=True)

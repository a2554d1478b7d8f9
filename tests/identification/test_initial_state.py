"""The initial state: what is known, plus what may be found."""

import pytest
import torch
from support.observed import beam_mesh
from support.scenes import moving, same

from simlayer.identification.initial_state import InitialState

pytestmark = pytest.mark.usefixtures("float64")


def test_nothing_is_added_at_first():
    state = moving((3, 1, 1), 2)
    assert same(InitialState(beam_mesh())(state), state)


@pytest.mark.parametrize("shape", [(1, 3), (16, 3)])
def test_displacements_and_velocities_are_added_to_every_scene(shape):
    state, u, v = moving((3, 1, 1), 2), torch.randn(shape), torch.randn(shape)
    start = InitialState(beam_mesh(), displacements=u, velocities=v)(state)
    assert torch.equal(start.positions, state.positions + u)
    assert torch.equal(start.velocities, state.velocities + v)


def test_it_is_trained_by_the_sum_of_the_gradients_of_all_scenes_and_vertices():
    initial, state = InitialState(beam_mesh()), moving((3, 1, 1), 2)
    initial.velocities.requires_grad_()
    parameter = dict(initial.named_parameters())["velocities"].requires_grad_()
    weights = torch.randn(2, 16, 3)
    (initial(state).velocities * weights).sum().backward()
    torch.testing.assert_close(parameter.grad, weights.sum((0, 1))[None], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", ["displacements", "velocities"])
@pytest.mark.parametrize("shape", [(5, 3), (15, 3)])
def test_a_value_for_another_number_of_vertices_is_refused(name, shape):
    with pytest.raises(ValueError, match=rf"{name} has shape .*\(\*batch, 16, 3\) or \(\*batch, 1, 3\)"):
        InitialState(beam_mesh(), **{name: torch.zeros(shape)})

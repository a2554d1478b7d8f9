"""Groups of controls: which number sets which value, where they start, and between what they lie."""

import pytest
import torch
from support.arms import arm

from simlayer.learning import ControlGroups

pytestmark = pytest.mark.usefixtures("float64")
UPPER, LOWER = "forces.upper.activation", "forces.lower.activation"


def group_of_cells(step):
    """Two groups of the cells of the upper muscle, near and far from the fixed end."""
    muscle = step.forces["upper"]
    mesh = step.elements.mesh
    middles = mesh.vertices[mesh.cells][muscle.elements.cells].mean(1)
    return (middles[:, 0] > 0.045).long()


def test_each_value_follows_the_number_of_its_group():
    step, _, _ = arm()
    near = group_of_cells(step)
    controls = ControlGroups(step, [LOWER, UPPER], {UPPER: near})
    assert controls.size == 3
    assert controls.names == [LOWER, UPPER]
    values = controls.expand(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    assert values["forces.lower.logit_activation"].tolist() == [[1.0], [4.0]]
    upper = values["forces.upper.logit_activation"]
    assert torch.equal(upper[0], torch.where(near == 0, 2.0, 3.0))
    assert torch.equal(upper[1], torch.where(near == 0, 5.0, 6.0))
    physical = controls.expand(torch.tensor([0.1, 0.2, 0.3]), physical=True)
    assert list(physical) == [LOWER, UPPER]


def test_they_start_at_the_stored_values_and_at_their_mean_in_a_group():
    step, _, _ = arm()
    count, near = len(group_of_cells(step)), group_of_cells(step)
    activation = torch.linspace(0.2, 0.8, count)
    step.forces["upper"].activation = activation
    step.forces["lower"].activation = 0.9
    start = ControlGroups(step, [UPPER, LOWER], {UPPER: near}).start()
    stored = torch.logit(activation)
    expected = [stored[near == 0].mean(), stored[near == 1].mean(), torch.logit(torch.tensor(0.9))]
    torch.testing.assert_close(start, torch.stack(expected))
    # Without groups each value has a number of its own.
    alone = ControlGroups(step, UPPER)
    assert alone.size == count
    torch.testing.assert_close(alone.start(), stored)


def test_they_lie_between_the_ends_of_the_quantity():
    step, _, _ = arm()
    assert ControlGroups(step, [UPPER, LOWER]).ranges().tolist() == [[0.0, 0.0], [1.0, 1.0]]
    with pytest.raises(ValueError, match=r"density must have a range of two finite ends"):
        ControlGroups(step, "density").ranges()


def test_a_rollout_of_one_group_per_cell_is_that_of_these_values():
    step, _, _ = arm()
    near = group_of_cells(step)
    values = ControlGroups(step, [UPPER], {UPPER: near}).expand(torch.tensor([0.2, 0.7]), physical=True)
    assert torch.equal(values[UPPER], torch.where(near == 0, 0.2, 0.7))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (
            {UPPER: [0, 2]},
            r"groups\['forces.upper.activation'\] must be a group per value|all numbers from 0",
        ),
        ({UPPER: [-1, 0]}, "must have all numbers from 0"),
        ({"density": [0]}, "groups must be those of .* got one of 'density'"),
        ({UPPER: [[0, 1]]}, "must be a group per value"),
    ],
)
def test_groups_that_do_not_fit_are_refused(groups, message):
    step, _, _ = arm()
    with pytest.raises(ValueError, match=message):
        ControlGroups(step, [UPPER], groups)


def test_a_quantity_named_twice_is_refused():
    step, _, _ = arm()
    with pytest.raises(ValueError, match="different quantities"):
        ControlGroups(step, ["upper.activation", UPPER])

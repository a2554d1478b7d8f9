"""Goals that are reachable: each is where some constant controls lead to."""

import pytest
import torch
from support.arms import NAMES, arm, steered_arm

from simlayer import RolloutModule, State
from simlayer.learning import reachable_points

pytestmark = pytest.mark.usefixtures("float64")


def tips(count, *, batch_size=4, seed=0):
    step, start, tip = arm()
    generator = torch.Generator().manual_seed(seed)
    rollout = RolloutModule(step, 30, compile=False)
    return reachable_points(
        rollout,
        start,
        NAMES,
        lambda x: x[:, tip].mean(1),
        count=count,
        generator=generator,
        batch_size=batch_size,
    )


def test_each_is_where_the_controls_that_were_drawn_lead_to():
    step, start, tip = arm()
    generator = torch.Generator().manual_seed(3)
    upper, lower = torch.rand(4, 2, generator=generator).split(1, dim=1)
    controls = {"forces.upper.activation": upper, "forces.lower.activation": lower}
    end = RolloutModule(step, 30, compile=False)(State(*(x.expand(4, -1, -1) for x in start[:2])), controls)
    torch.testing.assert_close(tips(4, seed=3), end.positions[:, tip].mean(1))


def test_as_many_are_drawn_as_asked_for_all_different():
    found = tips(7)
    assert found.shape == (7, 3)
    assert len(found.unique(dim=0)) == 7
    assert torch.equal(found, tips(7))


def test_a_quantity_without_an_end_of_its_range_is_refused():
    step, start, tip = arm()
    rollout = RolloutModule(step, 5, compile=False)
    with pytest.raises(ValueError, match=r"density must have a range of two finite ends.*\(0, inf\)"):
        reachable_points(rollout, start, ["density"], lambda x: x[:, tip], count=2)


def test_a_rollout_with_a_policy_is_refused():
    rollout, start, tip = steered_arm()
    with pytest.raises(ValueError, match="without a policy"):
        reachable_points(rollout, start, NAMES, lambda x: x[:, tip], count=2)

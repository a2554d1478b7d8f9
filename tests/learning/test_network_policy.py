"""A policy that is a network: what it sees, what it sets, and where it starts."""

import pytest
import torch
from support.arms import NAMES, arm, steered_arm

from simlayer import State
from simlayer.learning import NetworkPolicy

pytestmark = pytest.mark.usefixtures("float64")


def test_before_training_it_sets_about_the_values_that_the_step_has():
    step, start, tip = arm()
    policy = NetworkPolicy(step, NAMES, vertices=tip, length=0.01)
    with torch.no_grad():
        answer = policy(State(start.positions.expand(4, -1, -1), start.velocities.expand(4, -1, -1)))
    assert list(answer) == ["forces.upper.logit_activation", "forces.lower.logit_activation"]
    for stored in answer.values():
        assert stored.shape == (4, 1)
        assert float((stored.sigmoid() - 0.5).abs().max()) < 0.05


def test_it_sees_nothing_but_its_vertices_and_the_inputs():
    rollout, start, tip = steered_arm()
    policy, goal = rollout.policy, torch.zeros(3)
    unseen = start.positions.clone()
    unseen[[k for k in range(len(unseen)) if k not in tip]] += 0.01
    seen = start.positions.clone()
    seen[tip] += 0.01
    before = torch.stack(list(policy(start, goal).values()))
    assert torch.equal(torch.stack(list(policy(State.at_rest(unseen), goal).values())), before)
    assert not torch.equal(torch.stack(list(policy(State.at_rest(seen), goal).values())), before)
    assert not torch.equal(torch.stack(list(policy(start, goal + 0.01).values())), before)


def test_inputs_are_standardized_by_the_samples_that_it_was_shown():
    step, start, tip = arm()
    policy = NetworkPolicy(step, NAMES, vertices=tip, num_inputs=2, length=0.01)
    shown = torch.tensor([[1.0, 7.0], [3.0, 7.0], [5.0, 7.0]])
    policy.standardize(shown[:, :1], shown[:, 1:])
    assert policy.mean.tolist() == [3.0, 7.0]
    assert policy.spread.tolist() == [2.0, 1.0]
    other = NetworkPolicy(step, NAMES, vertices=tip, num_inputs=2, length=0.01)
    other.network.load_state_dict(policy.network.state_dict())
    given, expected = policy(start, torch.tensor([5.0, 8.0])), other(start, torch.tensor([1.0, 1.0]))
    assert given.keys() == expected.keys()
    assert all(torch.equal(given[name], expected[name]) for name in given)


def test_the_gradient_through_a_rollout_reaches_every_weight():
    rollout, start, _ = steered_arm(20, hidden=(4,))
    goal = torch.tensor([0.09, 0.015, 0.02])
    end = rollout(start, policy_inputs=(goal,))
    end.positions.sum().backward()
    for name, weight in rollout.policy.named_parameters():
        assert float(weight.grad.abs().max()) > 0, name


def test_what_it_has_standardized_by_is_part_of_its_state_dict():
    rollout, _, _ = steered_arm()
    rollout.policy.standardize(torch.rand(5, 3))
    other = steered_arm()[0].policy
    other.load_state_dict(rollout.policy.state_dict())
    assert torch.equal(other.spread, rollout.policy.spread)


def test_the_motion_is_the_same_for_each_sample_of_a_batch_and_alone():
    rollout, start, _ = steered_arm()
    goals = torch.tensor([[0.09, 0.015, 0.02], [0.09, 0.01, 0.0]])
    batch = rollout(State(*(x.expand(2, -1, -1) for x in start[:2])), policy_inputs=(goals,))
    for k, goal in enumerate(goals):
        torch.testing.assert_close(
            batch.positions[k], rollout(start, policy_inputs=(goal,)).positions, rtol=1e-12, atol=1e-14
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vertices": [0, 99]}, "vertices must be at least one index from 0 to 23"),
        ({"vertices": [-1]}, "vertices must be"),
        ({"length": 0.0}, "length must be a positive"),
        ({"hidden": (8, 0)}, r"hidden\[1\] must be"),
        ({"num_inputs": -1}, "num_inputs must be"),
        ({"names": ["forces.upper.activation"] * 2}, "twice|different quantities"),
        ({"names": ["upper.activation", "forces.upper.activation"]}, "different quantities"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    step, _, tip = arm()
    names = options.pop("names", NAMES)
    with pytest.raises(ValueError, match=message):
        NetworkPolicy(step, names, **{"vertices": tip, "length": 0.01, **options})


def test_a_quantity_at_an_end_of_its_range_is_refused():
    step, _, tip = arm()
    step.forces["upper"].activation = 0.0
    with pytest.raises(ValueError, match=r"upper\.activation is at an end of its range"):
        NetworkPolicy(step, NAMES, vertices=tip, length=0.01)


def test_inputs_of_another_number_are_refused():
    rollout, start, _ = steered_arm()
    with pytest.raises(ValueError, match=r"policy_inputs must be 3 numbers per sample \(num_inputs\)"):
        rollout(start, policy_inputs=(torch.zeros(2),))
    with pytest.raises(ValueError, match="at least two samples of 3 numbers"):
        rollout.policy.standardize(torch.zeros(4, 2))

"""A rollout as an environment of Gymnasium."""

import numpy as np
import pytest
import torch
from gymnasium.vector import VectorEnv

from simlayer import (
    ElasticForce,
    ObservationError,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
)
from simlayer.reinforcement import RolloutEnvironment

pytestmark = pytest.mark.usefixtures("float64")

ACTIONS = {"gravity": (-5.0, 5.0, 3), "youngs_modulus": (5e4, 2e5, 1)}


def rollout():
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))
    force = ElasticForce(mesh, StableNeoHookean(1e5, 0.4))
    step = SymplecticEuler(mesh, {"elastic": force}, dt=1e-3, density=1e3, fixed="x_min")
    return RolloutModule(step, 5, compile=False), mesh


def tip(state):
    return torch.cat([state.positions[:, -1], state.velocities[:, -1]], -1)


def reward(state, actions):
    return -state.positions[:, -1, 2] - 1e-3 * actions.square().sum(-1)


def environment(start=None, **options):
    module, mesh = rollout()
    state = State.at_rest(mesh.vertices.expand(4, -1, -1)) if start is None else start
    given = {"observe": tip, "reward": reward, "max_actions": 3} | options
    return RolloutEnvironment(module, state, ACTIONS, **given)


def drawn(generator):
    vertices = rollout()[1].vertices
    return State(vertices.expand(4, -1, -1), torch.randn(4, 1, 3, generator=generator).expand(-1, 12, -1))


def test_steps_are_those_of_the_rollout_for_the_actions():
    own, (module, mesh) = environment(), rollout()
    assert isinstance(own, VectorEnv)
    seen, _ = own.reset(seed=3)
    own.action_space.seed(3)
    state = State.at_rest(mesh.vertices.expand(4, -1, -1))
    assert own.observation_space.contains(seen)
    for _ in range(2):
        actions = own.action_space.sample()
        assert own.action_space.contains(actions)
        seen, rewards, terminated, truncated, _ = own.step(actions)
        given = torch.from_numpy(actions).double()
        state = module(state, {"gravity": given[:, :3], "youngs_modulus": given[:, 3:]})
        np.testing.assert_allclose(seen, tip(state), rtol=1e-12)
        np.testing.assert_allclose(rewards, reward(state, given), rtol=1e-12)
        assert not terminated.any()
        assert not truncated.any()


def test_episodes_end_together_and_the_next_call_starts_new_ones():
    own = environment()
    first, _ = own.reset()
    actions = np.ones(own.action_space.shape) * [1, 1, 1, 1e5]
    ends = [own.step(actions)[3].all() for _ in range(3)]
    assert ends == [False, False, True]
    seen, rewards, _, truncated, _ = own.step(actions)
    np.testing.assert_array_equal(seen, first)
    assert not rewards.any()
    assert not truncated.any()


def test_starts_are_drawn_by_the_seed():
    own = environment(drawn)
    first, again, other = (own.reset(seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (own.reset()[0] != other).any()


def test_an_agent_that_climbs_by_random_search_gets_better_rewards():
    own, generator = environment(), np.random.default_rng(0)
    best, actions = -np.inf, np.array([0, 0, 0, 1e5])
    first = None
    for _ in range(12):
        trial = np.clip(actions + generator.normal(size=4) * [2, 2, 2, 0], [-5, -5, -5, 5e4], [5, 5, 5, 2e5])
        own.reset()
        total = sum(own.step(np.tile(trial, (4, 1)))[1].mean() for _ in range(3))
        first = total if first is None else first
        if total > best:
            best, actions = total, trial
    assert best > first


@pytest.mark.unchecked
def test_what_does_not_fit_is_refused():
    with pytest.raises(KeyError, match="no quantity is named 'gravty'"):
        RolloutEnvironment(
            rollout()[0], drawn, {"gravty": (0.0, 1.0, 3)}, observe=tip, reward=reward, max_actions=1
        )
    with pytest.raises(ObservationError, match="start must be of a batch of samples"):
        environment(State.at_rest(rollout()[1].vertices))
    with pytest.raises(ObservationError, match=r"observe must return \(B, D\)"):
        environment(observe=lambda state: state.positions)
    with pytest.raises(ObservationError, match="reward must return one number per sample"):
        environment(reward=lambda state, actions: actions).step(np.ones((4, 4)) * [1, 1, 1, 1e5])
    with pytest.raises(ObservationError, match=r"actions must be of shape \(4, 4\), got \(4, 3\)"):
        environment().step(np.ones((4, 3)))

"""A rollout as a vector environment of Gymnasium."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray
from torch import Tensor

from simlayer.errors import ObservationError
from simlayer.quantities.arguments import checked_integer, checked_parts
from simlayer.quantities.named import NamedTensors
from simlayer.quantities.objects import checked_function, checked_instance
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State


class RolloutEnvironment(VectorEnv[NDArray[Any], NDArray[Any], NDArray[Any]]):
    """Many samples of a body, each of which an agent acts on: a batch of one rollout.

        environment = RolloutEnvironment(
            rollout,
            start,
            {"forces.muscle.activation": (0.0, 1.0, 1)},
            observe=lambda state: state.positions[:, TIP],
            reward=lambda state, actions: -(state.positions[:, TIP] - goal).norm(dim=-1),
            max_actions=50,
        )

    An action sets quantities for all steps of the rollout. There are no gradients: compare with a `Policy`,
    which has them, on the same scene. All episodes end together, by `truncated`; the call of `step` after
    that starts the next ones, whatever its actions (Gymnasium's AutoresetMode.NEXT_STEP). A simulation that
    fails raises its SimulationError.

    Args:
        rollout: the steps of one action.
        start: the initial states `(B, N, 3)` of the B samples, or a function that draws them, called with a
            generator of random numbers.
        actions: what an action sets: the lowest and highest value and how many numbers, by names as in the
            `parameters` of a rollout.
        observe: maps states to what the agent sees, `(B, D)`.
        reward: maps the states after an action, and that action `(B, A)`, to the rewards `(B,)`.
        max_actions: after how many actions an episode ends.

    Raises:
        KeyError: if an action has an unknown name.
        ObservationError: if the states have no batch, or observations or rewards other shapes.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012 - Gymnasium's

    def __init__(
        self,
        rollout: RolloutModule,
        start: State | Callable[[torch.Generator], State],
        actions: Mapping[str, tuple[float, float, int]],
        *,
        observe: Callable[[State], Tensor],
        reward: Callable[[State, Tensor], Tensor],
        max_actions: int,
    ) -> None:
        self.rollout = checked_instance("rollout", rollout, RolloutModule)
        self._start = start if isinstance(start, State) else checked_function("start", start)
        self._actions = checked_parts("actions", actions, tuple, "(low, high, count)")
        named = NamedTensors(rollout.step)
        self._names = [named.find(name).name for name in self._actions]
        self._observe, self._reward = checked_function("observe", observe), checked_function("reward", reward)
        self.max_actions = checked_integer("max_actions", max_actions, least=1)
        self._generator = torch.Generator()
        state = self._drawn()
        self.num_envs = len(state.positions)
        lows, highs = (
            np.concatenate([np.full(part[2], part[side], np.float32) for part in self._actions.values()])
            for side in (0, 1)
        )
        self.single_action_space = gymnasium.spaces.Box(lows, highs)
        seen = self._observed(state)
        self.single_observation_space = gymnasium.spaces.Box(-np.inf, np.inf, seen.shape[1:], seen.dtype.type)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self._state, self._count = state, 0

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Start new episodes; return what is observed, and nothing else."""
        if isinstance(seed, int):
            self._generator.manual_seed(seed)
        self._state, self._count = self._drawn(), 0
        return self._observed(self._state), {}

    @torch.no_grad()
    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Simulate one action of every sample, and return what `gymnasium.vector.VectorEnv.step` does."""
        if self._count == self.max_actions:
            seen, info = self.reset()
            return seen, np.zeros(self.num_envs), *self._flags(truncated=False), info
        given = torch.as_tensor(actions).to(self._state.positions)
        if given.shape != self.action_space.shape:
            raise ObservationError(
                f"actions must be of shape {self.action_space.shape}, got {tuple(given.shape)}."
            )
        parts = given.split([part[2] for part in self._actions.values()], dim=1)
        self._state = self.rollout(self._state, dict(zip(self._names, parts, strict=True)))
        self._count += 1
        rewards = self._reward(self._state, given)
        if tuple(rewards.shape) != (self.num_envs,):
            raise ObservationError(
                f"reward must return one number per sample, ({self.num_envs},), got {tuple(rewards.shape)}."
            )
        flags = self._flags(truncated=self._count == self.max_actions)
        return self._observed(self._state), rewards.double().cpu().numpy(), *flags, {}

    def _flags(self, *, truncated: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        return np.zeros(self.num_envs, bool), np.full(self.num_envs, truncated)

    def _drawn(self) -> State:
        state = self._start if isinstance(self._start, State) else self._start(self._generator)
        self.rollout.step.check_state(state)
        if state.positions.ndim != 3:
            raise ObservationError(
                "start must be of a batch of samples, (B, N, 3), got positions "
                f"{tuple(state.positions.shape)}."
            )
        return state

    @torch.no_grad()
    def _observed(self, state: State) -> NDArray[Any]:
        seen = self._observe(state)
        if seen.ndim != 2 or len(seen) != len(state.positions):
            raise ObservationError(
                f"observe must return (B, D), with B = {len(state.positions)}, got {tuple(seen.shape)}."
            )
        return seen.detach().cpu().numpy()

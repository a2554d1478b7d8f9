"""The values and the state that a readout is computed from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import torch

from simlayer.quantities.objects import checked_instance
from simlayer.rollout.closed_loop import split_memory
from simlayer.rollout.inputs import Named, read_inputs
from simlayer.rollout.layout import on_state, unpack
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State
from simlayer.steps.base import Step
from simlayer.steps.internal_variables import remembering

Simulation: TypeAlias = RolloutModule | Step


def step_of(simulation: Simulation) -> Step:
    """Return the step of a rollout, or the step that was given.

    Raises:
        TypeError: if it is neither.
    """
    checked_instance("simulation", simulation, (RolloutModule, Step))
    return simulation.step if isinstance(simulation, RolloutModule) else simulation


@contextmanager
def evaluated(simulation: Simulation, state: State, parameters: Named | None) -> Iterator[tuple[Step, State]]:
    """Let a step have the values of a call for the time of a `with` block.

    Yields the step, and the state expanded to the batch of state and values together.

    Args:
        simulation: a rollout or a step.
        state: of any batch, such as the frames of a trajectory.
        parameters: as for a rollout.

    Raises:
        KeyError, TypeError, ValueError: as from a rollout.
    """
    step = step_of(simulation)
    if isinstance(simulation, RolloutModule):
        state, _ = split_memory(step, simulation.policy, state)
    step.check_state(state)
    with torch.autocast(state.positions.device.type, enabled=False):
        inputs = read_inputs(step, 1, state, parameters, None)
        with inputs.applied(), remembering(step, on_state(unpack, inputs.state)) as at:
            yield step, at

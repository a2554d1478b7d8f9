"""Where the energy of a motion comes from, and where it goes."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.quantities.arguments import checked_parts
from simlayer.quantities.named import NamedTensors
from simlayer.quantities.objects import checked_instance
from simlayer.readouts.energy import Energies, energies
from simlayer.readouts.work import works
from simlayer.rollout.inputs import Named
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State

# Vertices and cells, times samples and steps, that are evaluated at once, so that memory stays small.
_AT_ONCE = 2**18

Series = dict[str, Float[Tensor, "T *batch"]]


@dataclass(frozen=True)
class EnergyBalance:
    """The energies of a body over time, and the work that has changed them since the start.

    At every time `energies.total`, less that at the start, is the sum of `work` minus that of `lost`, plus
    the `residual`.

    Attributes:
        times: at the start and after each of T - 1 steps [s].
        energies: at these times.
        work: by each force that has no energy, by "fixed", which is what holds the fixed vertices, and by
            "controls", which is what changes quantities in place, such as gravity or a muscle's activation
            [J].
        lost: to each viscous force and each dissipation [J].
        residual: the energy that the step has made itself or, if negative, has lost [J].
    """

    times: Float[Tensor, "T"]
    energies: Energies
    work: Series
    lost: Series
    residual: Float[Tensor, "T *batch"]


def energy_balance(
    rollout: RolloutModule,
    state: State,
    parameters: Named | None = None,
    controls: Named | None = None,
) -> EnergyBalance:
    """Return the energies after every step of a rollout, and the work that has changed them.

    The work of a step is that of the mean of the forces at its two ends, and of a contact's friction in an
    implicit step that at its end. For `Newmark` with a linear law, without contact, the residual is zero to
    rounding. Otherwise it tells what the step adds or takes: backward Euler takes much, a contact in an
    implicit step takes some at every bounce, and nonlinear laws leave a residual that vanishes with dt.

        balance = energy_balance(rollout, state)
        print(balance.residual[-1] / balance.energies.total[-1])

    Args:
        rollout: a rollout without a policy.
        state, parameters, controls: as for the rollout.

    Raises:
        ValueError: if the rollout has a policy, or as from the rollout.
        KeyError, TypeError, SimulationError: as from the rollout.
    """
    checked_instance("rollout", rollout, RolloutModule)
    if rollout.policy is not None:
        raise ValueError(
            "rollout must have no policy, whose decisions are not known afterwards: give controls to a "
            "rollout without it."
        )
    constant = {} if parameters is None else checked_parts("parameters", parameters, Tensor, "a tensor")
    rollout, controls = _of_substeps(rollout, controls)
    frames = rollout.trajectory(state, parameters, controls)
    batch = frames.positions.shape[1:-2]
    size = (rollout.step.num_vertices + rollout.step.elements.num_cells) * batch.numel()
    count, parts = max(1, _AT_ONCE // size), []
    for first in range(0, rollout.num_steps, count):
        last = min(first + count, rollout.num_steps)
        start, end = (_frames(frames, slice(first + k, last + k)) for k in (0, 1))
        values = constant | _values(rollout, controls, slice(first, last), len(batch))
        parts.append(
            (
                energies(rollout, start, values),
                energies(rollout, end, values),
                *works(rollout.step, start, end, values),
            )
        )
    starts, ends, works_done, losses = zip(*parts, strict=True)
    return _balance(rollout, _joined(starts), _joined(ends), _series(works_done), _series(losses))


def _balance(
    rollout: RolloutModule, start: Energies, end: Energies, work: Series, lost: Series
) -> EnergyBalance:
    """Return the balance of steps, given the energies at the start and end of each with its values."""
    found = Energies(
        torch.cat([start.kinetic[:1], end.kinetic]),
        torch.cat([start.gravitational[:1], end.gravitational]),
        {name: torch.cat([start.potentials[name][:1], value]) for name, value in end.potentials.items()},
    )
    # Quantities change between the end of one step and the start of the next.
    jumps = start.total[1:] - end.total[:-1]
    work = {name: _since_start(value) for name, value in work.items()}
    work["controls"] = torch.cat([torch.zeros_like(found.total[:1]), _since_start(jumps)])
    lost = {name: _since_start(value) for name, value in lost.items()}
    gained = found.total - found.total[:1]
    known = sum(work.values(), torch.zeros_like(gained)) - sum(lost.values(), torch.zeros_like(gained))
    times = torch.arange(len(gained)).to(gained) * rollout.step.dt
    return EnergyBalance(times, found, work, lost, gained - known)


def _since_start(changes: Float[Tensor, "steps *batch"]) -> Float[Tensor, "T *batch"]:
    return torch.cat([torch.zeros_like(changes.sum(0, keepdim=True)), changes.cumsum(0)])


def _joined(parts: Sequence[Energies]) -> Energies:
    return Energies(
        torch.cat([part.kinetic for part in parts]),
        torch.cat([part.gravitational for part in parts]),
        _series([part.potentials for part in parts]),
    )


def _series(parts: Sequence[Mapping[str, Tensor]]) -> Series:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _frames(frames: State, steps: slice) -> State:
    return State(frames.positions[steps], frames.velocities[steps], tuple(h[steps] for h in frames.history))


def _of_substeps(rollout: RolloutModule, controls: Named | None) -> tuple[RolloutModule, dict[str, Tensor]]:
    """Return a rollout whose steps are the substeps of another one, with its controls."""
    count = rollout.step.substeps
    controls = {} if controls is None else checked_parts("controls", controls, Tensor, "a tensor")
    if count == 1:
        return rollout, controls
    step = copy.copy(rollout.step)
    step.dt, step.substeps = step.h, 1
    finer = RolloutModule(
        step,
        rollout.num_steps * count,
        checkpoint=rollout.checkpoint,  # type: ignore[arg-type]  # checked when it was assigned
        compile=rollout.compiler,
        memory_budget=int(rollout.memory_budget),
        validate=rollout.validate,
    )
    return finer, {name: value.repeat_interleave(count, 0) for name, value in controls.items()}


def _values(
    rollout: RolloutModule, controls: Mapping[str, Tensor], steps: slice, batch_axes: int
) -> dict[str, Tensor]:
    """Return the values of controls in some steps, as those of samples with an axis of steps in front."""
    named, found = NamedTensors(rollout.step), {}
    for name, value in controls.items():
        quantity = named.find(name).quantity
        own = quantity.own_axes if quantity else value.ndim - 1
        missing = batch_axes + 1 + own - value.ndim
        found[name] = value[steps].reshape(-1, *[1] * missing, *value.shape[1:])
    return found

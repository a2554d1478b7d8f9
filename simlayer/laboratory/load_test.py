"""Force over displacement, or torque over angle, of a specimen between grips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.errors import ObservationError, SimulationError, first_index
from simlayer.laboratory.grips import GripMotion, grip_path
from simlayer.laboratory.specimen_test import SpecimenTest
from simlayer.mesh.selection import vertex_indices
from simlayer.quantities.arguments import checked_number, checked_parts
from simlayer.quantities.arrays import checked_numbers, described
from simlayer.quantities.objects import checked_instance
from simlayer.readouts.reaction import reaction
from simlayer.rollout.controls import motion_controls
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State
from simlayer.steps.base import Step


class LoadTest(SpecimenTest):
    """The load of a testing machine over the motion of its grip.

    The grip goes from its place at rest to one measured amount after the other, in a step each, or through
    time where `times` are given: then in steps of `step.dt`, straight between the measurements.

        test = LoadTest(step, "x_max", Pull((1, 0, 0)), displacements, forces)
        print(identify_tests([test], ["c10", "c01"]))

    Args:
        step: the specimen; what the grips hold is fixed, at least in the components in which it moves: a
            lubricated grip leaves the others free. `Equilibrium` for a slow test.
        grip: the vertices that the moving grip holds: the name of a vertex set, indices or a mask `(N,)`.
        motion: `Pull` or `Twist`.
        amounts: the measured displacements [m] or angles [rad] of the grip, `(n,)`, in the order in which
            they were reached: loading, and unloading.
        loads: the measured forces [N] or torques [N m], `(n,)`, positive where the grip pulls or turns the
            way that it moves; NaN where there is none.
        times: of the measurements since the start [s], increasing, `(n,)`.
        coupled: further grips that move by the same amounts, by the names of their vertex sets, as in a
            biaxial machine: {"y_max": Pull((0, 1, 0))}. Their loads are not measured.
        copies: how many times the load of the mesh is that of the specimen: 4 for a quarter of it.
        noise: the standard deviation of the loads.
        name: of the test.

    Raises:
        ObservationError: if amounts, loads and times do not fit together, or are not finite.
        ValueError: if a grip holds a vertex that is free in a component in which it moves.
    """

    def __init__(
        self,
        step: Step,
        grip: Tensor | str,
        motion: GripMotion,
        amounts: Any,
        loads: Any,
        *,
        times: Any = None,
        coupled: Mapping[str, GripMotion] | None = None,
        copies: float = 1.0,
        noise: float | None = None,
        name: str = "load",
    ) -> None:
        self.motion = checked_instance("motion", motion, GripMotion, example="Pull((1, 0, 0))")
        self.amount_unit = motion.amount_unit
        self.copies = checked_number("copies", copies, above=0.0)
        self.amounts, self.times = _checked_curve(amounts, loads, times)
        super().__init__(step, checked_numbers("loads", loads), noise=noise, name=name, unit=motion.load_unit)
        self.vertices = vertex_indices(step.elements.mesh, grip, name="grip")
        self.coupled = checked_parts(
            "coupled", {} if coupled is None else coupled, GripMotion, "Pull((0, 1, 0))"
        )
        self.rollout, self._path = self._planned()

    def _planned(self) -> tuple[RolloutModule, Float[Tensor, "T N 3"]]:
        """Return the rollout and the path of its vertices."""
        amounts, start = self.amounts, self.amounts.new_zeros(1)
        if self.times is None:
            at_steps = torch.cat([start, amounts])
        else:
            count = max(1, round(float(self.times[-1]) / self.step.dt))
            moments = self.step.dt * torch.arange(count + 1, dtype=torch.float64)
            at_steps = _interpolated(moments, torch.cat([start, self.times]), torch.cat([start, amounts]))
        path = grip_path(self.step, [(self.vertices, self.motion), *self.coupled.items()], at_steps)
        return RolloutModule(self.step, len(at_steps) - 1), path

    def frames(self) -> State:
        start = State.at_rest(self.step.elements.mesh.vertices)
        try:
            return self.rollout.trajectory(start, controls=motion_controls(self._path, self.step.dt))
        except SimulationError as error:
            error.args = (f"the simulation of the test {self.name!r} fails {error}",)
            raise

    def simulated(self) -> Float[Tensor, "n"]:
        held = reaction(self.rollout, self.frames(), self.vertices, about=self.motion.about)
        loads = self.copies * self.motion.load(held)
        if self.times is None:
            return loads[1:]
        moments = self.step.dt * torch.arange(len(loads), dtype=torch.float64)
        return _interpolated(self.times, moments, loads)


def _checked_curve(amounts: Any, loads: Any, times: Any) -> tuple[Tensor, Tensor | None]:
    """Return the amounts and times of a curve in double precision, checked."""
    found = checked_numbers("amounts", amounts)
    given = checked_numbers("loads", loads)
    moments = None if times is None else checked_numbers("times", times)
    if found.ndim != 1 or given.shape != found.shape:
        raise ObservationError(
            f"amounts and loads must be as many, (n,) each, got {described(amounts)} and {described(loads)}."
        )
    wrong = ~found.isfinite()
    if bool(wrong.any()):
        raise ObservationError(
            f"amounts must be finite, got {float(found[wrong][0])} in row {first_index(wrong)[0]}."
        )
    if moments is None:
        return found, None
    if moments.shape != found.shape or not bool(moments.isfinite().all()) or float(moments[0]) < 0:
        raise ObservationError(
            f"times must be finite, from 0 on, one for each of the {len(found)} amounts, got "
            f"{described(times)}."
        )
    if bool((falling := moments.diff() <= 0).any()):
        row = first_index(falling)[0] + 1
        raise ObservationError(
            f"times must increase, got {float(moments[row - 1]):g} s and then {float(moments[row]):g} s in "
            f"row {row}; sort the rows, or leave out those that the machine wrote twice."
        )
    return found, moments


def _interpolated(at: Tensor, times: Tensor, values: Tensor) -> Tensor:
    """Return values at some times by straight lines between given ones, and the last after their end."""
    right = torch.searchsorted(times, at).clamp(1, len(times) - 1)
    low, high = times[right - 1], times[right]
    share = torch.where(high > low, (at - low) / (high - low), 1.0).clamp(0, 1).to(values)
    return torch.lerp(values[right - 1], values[right], share)

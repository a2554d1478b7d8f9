"""A fit as a problem of least squares: residuals, their Jacobian, and the normal equations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.identification.influence import Influence
from simlayer.identification.losses import LeastSquaresLoss, check_residuals
from simlayer.identification.normal_equations import NormalEquations
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.scenes import ObservedScenes
from simlayer.identification.takes import ObservedTakes
from simlayer.identification.unknowns import Unknown
from simlayer.rollout.parameter_jacobian import jacobian_with_aux
from simlayer.state import State


class Linearization(NamedTuple):
    """Residuals, and their Jacobian with respect to the stored values of the unknowns.

    Attributes:
        residuals: zero where a coordinate was not observed.
        jacobian: their derivatives.
        motion: the frames of the rollout that was observed, if there was a single one.
    """

    residuals: Float[Tensor, "B F K 3"]
    jacobian: Float[Tensor, "B F K 3 P"]
    motion: State | None = None


@dataclass(frozen=True)
class LeastSquares:
    """The residuals of some scenes as a function of the stored values of the unknowns.

    Attributes:
        observed: the simulation and its sensors.
        loss: maps simulated and observed points to the residuals.
        unknowns: the quantities, whose stored values are the P parameters, one after the other.
    """

    observed: ObservedRollout | ObservedTakes
    loss: LeastSquaresLoss
    unknowns: Sequence[Unknown]

    def residuals(self, scenes: ObservedScenes) -> Float[Tensor, "B F K 3"]:
        """Return the residuals at the present values, zero where a coordinate was not observed."""
        return self.compared(self.observed(State(scenes.positions, scenes.velocities)), scenes)

    def compared(
        self, simulated: Float[Tensor, "B T V 3"], scenes: ObservedScenes
    ) -> Float[Tensor, "B F K 3"]:
        """Return the residuals of simulated points, zero where a coordinate was not observed."""
        residuals = self.loss.residuals(simulated, scenes.observed)
        check_residuals(self.loss, residuals, self.loss.present(scenes.observed))
        return residuals

    def linearized(self, scenes: ObservedScenes) -> Linearization:
        """Return the residuals and their Jacobian at the present values."""
        self.observed.check_end()
        parameters = {unknown.name: unknown.parameter for unknown in self.unknowns}

        def residuals() -> tuple[Tensor, State]:
            motion = self.observed.motion(State(scenes.positions, scenes.velocities))
            return self.compared(self.observed.observe(motion), scenes), motion

        value, columns, motion = jacobian_with_aux(residuals, parameters)
        jacobian = torch.cat([columns[name].reshape(*value.shape, -1) for name in parameters], dim=-1)
        return Linearization(value, jacobian, State(*motion))

    def influence(self, scenes: ObservedScenes) -> Influence | None:
        """Return the influence of the residuals at the present values, None where it is not bounded."""
        if type(self.loss).bends is LeastSquaresLoss.bends:
            return None  # without a simulation
        with torch.no_grad():
            simulated = self.observed(State(scenes.positions, scenes.velocities))
            bends = self.loss.bends(simulated, scenes.observed)
        if bends is None:
            return None
        bends = bends.double().cpu().flatten(2)
        return Influence(bends, torch.arange(bends.numel()).view(bends.shape))

    def normal_equations(self, scenes: ObservedScenes, at: Linearization) -> NormalEquations:
        """Return the expansion of the loss of some scenes about the values at which they were linearized."""
        count = self.loss.present_points(scenes.observed).sum()
        return NormalEquations.of(at.residuals.flatten(), at.jacobian.flatten(0, -2), count)

    @property
    def size(self) -> int:
        """The number P of unknown numbers."""
        return sum(unknown.parameter.numel() for unknown in self.unknowns)

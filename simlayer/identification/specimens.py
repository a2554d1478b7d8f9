"""Many specimens that are simulated together, each with unknowns of its own."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simlayer.errors import SimulationError
from simlayer.identification.descent import chosen
from simlayer.identification.least_squares import LeastSquares, Linearization
from simlayer.identification.normal_equations import NormalEquations
from simlayer.identification.scenes import ObservedScenes
from simlayer.identification.unknowns import Unknown
from simlayer.quantities.named import NamedTensors
from simlayer.rollout.parameter_jacobian import parameter_jacobian

UNOBSERVED = "nothing of it is observed: all of its points are NaN."
OUT_OF_RANGE = "its values leave their range."
NOT_FINITE = "its residuals, or their derivatives, are not finite."


class Specimens:
    """The residuals of B specimens, as a function of the P unknown numbers of each.

    What is observed of a specimen depends on its own numbers only: the Jacobian is a block for each, and P
    directions, along which the numbers of all specimens change at once, tell all blocks.

    Args:
        squares: the residuals; every unknown has a value per specimen, `(B, own)`.
        scenes: one for each specimen.
    """

    def __init__(self, squares: LeastSquares, scenes: ObservedScenes) -> None:
        self.squares, self.scenes = squares, scenes
        self.count = len(scenes.observed)
        self.sizes = [unknown.parameter[0].numel() for unknown in squares.unknowns]
        self._named = NamedTensors(squares.observed)
        paths = {id(parameter): path for path, parameter in self._named.parameters.items()}
        # Whose scene and values are simulated for each: another's for one that fails at the first guess.
        self._rows = torch.arange(self.count)
        self._places = [paths[id(unknown.parameter)] for unknown in squares.unknowns]

    def values(self) -> Float[Tensor, "B P"]:
        """Return the stored values in double precision."""
        parts = [u.parameter.detach().double().cpu().reshape(self.count, -1) for u in self.squares.unknowns]
        return torch.cat(parts, 1)

    def assign(self, values: Float[Tensor, "B P"]) -> None:
        """Set the stored values."""
        for unknown, part in self._parts(values):
            unknown.parameter.data.copy_(part)

    def rounded(self, values: Float[Tensor, "B P"]) -> Float[Tensor, "B P"]:
        """Return stored values as the precision of the unknowns holds them."""
        return torch.cat([part.double().cpu().flatten(1) for _, part in self._parts(values)], 1)

    def linearized(
        self, values: Float[Tensor, "B P"], known: Float[Tensor, "B P"] | None = None
    ) -> tuple[Linearization, NormalEquations, dict[int, str]]:
        """Return residuals, Jacobian and normal equations at these values, and what went wrong with whom.

        A specimen that fails does not stop the others. Its residuals mean nothing, its loss is infinite.

        Args:
            values: the stored values.
            known: values at which every specimen could be simulated that was at first; none the first time.

        Raises:
            SimulationError: if no specimen can be simulated, or the error is none of a specimen.
        """
        failed: dict[int, str] = {}
        if known is not None:
            inside = self._in_range(values)
            failed = dict.fromkeys((~inside).nonzero().flatten().tolist(), OUT_OF_RANGE)
            values = values.where(inside[:, None], known)
        found = None
        while found is None:
            try:
                self.assign(values[self._rows])
                found = self._linearized(ObservedScenes(*(part[self._rows] for part in self.scenes)))
            except SimulationError as error:
                index = int(self._rows[error.sample[0]]) if error.sample else None
                if index is None or index in failed:
                    raise
                failed[index] = str(error)
                values = self._without(index, values, known, error)
        equations = self._equations(found)
        finite = torch.stack([part.reshape(self.count, -1).isfinite().all(1) for part in equations]).all(0)
        failed = dict.fromkeys((~finite).nonzero().flatten().tolist(), NOT_FINITE) | failed
        failed |= dict.fromkeys((self._numbers() == 0).nonzero().flatten().tolist(), UNOBSERVED)
        lost = torch.zeros(self.count, dtype=torch.bool)
        lost[list(failed)] = True
        none = NormalEquations.failed(len(values[0]), lost.device)
        pairs = zip(none, equations, strict=True)
        return found, NormalEquations(*(chosen(lost, bad.expand_as(e), e) for bad, e in pairs)), failed

    def _without(self, index: int, values: Tensor, known: Tensor | None, error: SimulationError) -> Tensor:
        """Return values with which a specimen that failed cannot stop the others again."""
        if known is not None:
            values = values.clone()
            values[index] = known[index]
            return values
        others = (self._rows == torch.arange(self.count)) & (self._rows != index)
        if not bool(others.any()):
            raise error
        self._rows[self._rows == index] = int(others.nonzero()[0])
        return values

    def _in_range(self, values: Float[Tensor, "B P"]) -> Bool[Tensor, "B"]:
        """Return for which specimens stored values stand for physical ones in their ranges."""
        inside = torch.ones(self.count, dtype=torch.bool)
        for unknown, part in self._parts(values):
            physical, (low, high) = unknown.quantity.decode(part), unknown.quantity.range
            fits = (physical > low) & (physical < high) & physical.isfinite()
            inside &= fits.flatten(1).all(1).cpu()
        return inside

    def _linearized(self, scenes: ObservedScenes) -> Linearization:
        """Return residuals and Jacobian of some scenes, `(B, F, K, 3)` and `(B, F, K, 3, P)`."""
        parameters = [unknown.parameter.detach() for unknown in self.squares.unknowns]
        # What is added to the values of all specimens.
        shifts = {
            u.name: torch.zeros_like(p[0]) for u, p in zip(self.squares.unknowns, parameters, strict=True)
        }

        def residuals() -> Tensor:
            moved = [value + shift for value, shift in zip(parameters, shifts.values(), strict=True)]
            with self._named.substituted(dict(zip(self._places, moved, strict=True))):
                return self.squares.residuals(scenes)

        self.squares.observed.check_end()
        value, columns = parameter_jacobian(residuals, shifts)
        return Linearization(value, torch.cat([c.reshape(*value.shape, -1) for c in columns.values()], -1))

    def _equations(self, found: Linearization) -> NormalEquations:
        value, jacobian = (part.cpu() for part in found)
        numbers = self._numbers().clamp(min=1)
        return NormalEquations.of(value.flatten(1), jacobian.flatten(1, -2), numbers)

    def _numbers(self) -> Tensor:
        """Return how many points of each specimen were observed."""
        return self.squares.loss.present(self.scenes.observed).flatten(1).sum(1).cpu()

    def _parts(self, values: Float[Tensor, "B P"]) -> list[tuple[Unknown, Tensor]]:
        """Return the part of the values that belongs to each unknown, in its shape and precision."""
        pairs = zip(self.squares.unknowns, values.split(self.sizes, 1), strict=True)
        return [
            (unknown, part.to(unknown.parameter).reshape(unknown.parameter.shape)) for unknown, part in pairs
        ]

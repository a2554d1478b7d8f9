"""Many specimens that are simulated together, each with unknowns of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from simlayer.errors import SimulationError
from simlayer.identification.descent import chosen
from simlayer.identification.least_squares import LeastSquares, Linearization
from simlayer.identification.normal_equations import NormalEquations
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.scenes import ObservedScenes
from simlayer.identification.unknowns import Unknown
from simlayer.quantities.named import NamedTensors
from simlayer.rollout.parameter_jacobian import parameter_jacobian
from simlayer.state import State

UNOBSERVED = "nothing of it is observed: all of its points are NaN."
OUT_OF_RANGE = "its values leave their range."
NOT_FINITE = "its residuals, or their derivatives, are not finite."


class Specimens:
    """The residuals of B specimens, as a function of the P unknown numbers of each.

    What is observed of a specimen depends on its own numbers only: the Jacobian has a block for each, and P
    directions, along which the numbers of all specimens change at once, give all blocks.

    Args:
        observed: the simulation and its sensors, whose unknowns have a value per specimen, `(B, own)`.
        squares: its residuals.
        scenes: one for each specimen.

    Attributes:
        count: B, how many specimens there are.
        numbers: how many points of each were observed, `(B,)`.
    """

    def __init__(self, observed: ObservedRollout, squares: LeastSquares, scenes: ObservedScenes) -> None:
        self.squares, self.scenes = squares, scenes
        self.count = len(scenes.observed)
        self.numbers = squares.loss.present_points(scenes.observed).flatten(1).sum(1).cpu()
        self._observed, self._motion = observed, _Motion(observed)
        self._sizes = [unknown.parameter[0].numel() for unknown in squares.unknowns]
        # A compiled step is compiled anew for every number of samples.
        step = observed.rollout.step
        self._fill = step.explicit and observed.rollout.compiler is not False
        named = NamedTensors(self._motion)
        self._each = [
            entry.stored_name
            for entry in named.quantities.values()
            if (own := named.parameters[entry.stored_name]).ndim > entry.quantity.own_axes
            and len(own) == self.count
        ]
        places = {id(parameter): place for place, parameter in named.parameters.items()}
        self._places = [places[id(unknown.parameter)] for unknown in squares.unknowns]

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
        self, values: Float[Tensor, "B P"], wanted: Bool[Tensor, "B"]
    ) -> tuple[Linearization | None, NormalEquations, dict[int, str]]:
        """Return residuals, Jacobian and normal equations of some specimens, and why others have failed.

        One that fails does not stop the others. Where a specimen failed, or is not wanted, the residuals mean
        nothing, and the loss is infinite. There is no linearization if none can be simulated. Reasons are by
        the index of the specimen.

        Args:
            values: the stored values.
            wanted: which specimens are to be simulated.

        Raises:
            SimulationError: if the simulation fails for a reason that belongs to no single specimen.
        """
        self.assign(values)
        left = wanted & self._in_range(values) & (self.numbers > 0)
        failed = dict.fromkeys((wanted & ~left).nonzero().flatten().tolist(), OUT_OF_RANGE)
        failed |= dict.fromkeys((wanted & (self.numbers == 0)).nonzero().flatten().tolist(), UNOBSERVED)
        found = None
        while found is None and bool(left.any()):
            rows = left.nonzero().flatten()
            if self._fill:
                rows = torch.cat([rows, rows[:1].expand(self.count - len(rows))])
            try:
                found = self._linearized(rows)
            except SimulationError as error:
                if not error.sample:
                    raise
                index = int(rows[error.sample[0]])
                failed[index], left[index] = str(error), False
        size, count = values.shape[1], self.count
        none = NormalEquations.failed(size, values.device)
        equations = NormalEquations(*(part.expand(count, *part.shape) for part in none))
        if found is not None:
            flat = (found.residuals.cpu().flatten(1), found.jacobian.cpu().flatten(1, -2))
            own = NormalEquations.of(*flat, self.numbers.clamp(min=1))
            finite = torch.stack([part.reshape(count, -1).isfinite().all(1) for part in own]).all(0)
            failed |= dict.fromkeys((left & ~finite).nonzero().flatten().tolist(), NOT_FINITE)
            pairs = zip(own, equations, strict=True)
            equations = NormalEquations(*(chosen(left & finite, new, lost) for new, lost in pairs))
        return found, equations, failed

    def _linearized(self, rows: Int[Tensor, "S"]) -> Linearization:
        """Return residuals and Jacobian of all specimens, simulating those with these indices."""
        start = State(self.scenes.positions[rows], self.scenes.velocities[rows])
        each = {place: self._motion.get_parameter(place).detach()[rows] for place in self._each}
        # What is added to the values of all specimens.
        shifts = {place: torch.zeros_like(each[place][0]) for place in self._places}
        # Sensors and losses may tell specimens apart, and see all of them.
        back = torch.zeros(self.count, dtype=torch.long).index_copy(0, rows, torch.arange(len(rows)))

        def residuals() -> Tensor:
            moved = each | {place: each[place] + shift for place, shift in shifts.items()}
            motion = functional_call(self._motion, moved, (start,))
            simulated = self._observed.observe(State(motion.positions[:, back], motion.velocities[:, back]))
            return self.squares.compared(simulated, self.scenes)

        value, columns = parameter_jacobian(residuals, shifts)
        return Linearization(value, torch.cat([c.reshape(*value.shape, -1) for c in columns.values()], -1))

    def _in_range(self, values: Float[Tensor, "B P"]) -> Bool[Tensor, "B"]:
        """Return for which specimens stored values stand for physical ones in their ranges."""
        inside = torch.ones(self.count, dtype=torch.bool)
        for unknown, part in self._parts(values):
            fits = unknown.quantity.contains(unknown.quantity.decode(part))
            inside &= fits.flatten(1).all(1).cpu()
        return inside

    def _parts(self, values: Float[Tensor, "B P"]) -> list[tuple[Unknown, Tensor]]:
        """Return the part of the values that belongs to each unknown, in its shape and precision."""
        pairs = zip(self.squares.unknowns, values.split(self._sizes, 1), strict=True)
        return [(unknown, part.to(unknown.parameter).view_as(unknown.parameter)) for unknown, part in pairs]


@contextmanager
def specimen_values(unknowns: Sequence[Unknown], values: Float[Tensor, "B P"]) -> Iterator[None]:
    """Give unknowns the stored values of each of B specimens for the time of a `with` block."""
    before = [unknown.parameter.data for unknown in unknowns]
    parts = values.split([data.numel() for data in before], 1)
    try:
        for unknown, data, part in zip(unknowns, before, parts, strict=True):
            own = data.shape or (1,) * unknown.quantity.own_axes
            unknown.parameter.data = part.to(data, copy=True).reshape(len(values), *own)
        yield
    finally:
        for unknown, data in zip(unknowns, before, strict=True):
            unknown.parameter.data = data


class _Motion(nn.Module):
    """The motion of an observed rollout, for `functional_call`."""

    def __init__(self, observed: ObservedRollout) -> None:
        super().__init__()
        self.observed = observed

    def forward(self, state: State) -> State:
        return self.observed.motion(state)

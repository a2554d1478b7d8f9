"""Simulated bodies, and recordings of them with the errors that sensors make."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.errors import ObservationError, SimulationError, first_index
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.scenes import ObservedScenes
from simlayer.identification.specimens import specimen_values
from simlayer.identification.uniform_prior import UniformPrior
from simlayer.identification.unknowns import format_unknown
from simlayer.quantities.arguments import checked_number
from simlayer.quantities.arrays import checked_numbers, described
from simlayer.state import State

# So many bodies are simulated at once.
AT_ONCE = 256


class SensorErrors(nn.Module):
    """Adds noise to observed points, and loses some of them, anew in each call.

    Args:
        noise: the standard deviation of each coordinate's noise [m], one, or `(3,)`, `(K, 1)` or `(K, 3)`.
        missing: the share of points that are lost, from 0 to below 1.
        points: K.

    Raises:
        ObservationError: if the noise is not positive, or is that of another number of points.
    """

    noise: Tensor

    def __init__(self, noise: Any, missing: float, points: int) -> None:
        super().__init__()
        deviations = checked_numbers("noise", noise)
        shape = (1,) * (2 - deviations.ndim) + tuple(deviations.shape)
        if len(shape) != 2 or shape[0] not in (1, points) or shape[1] not in (1, 3):
            raise ObservationError(
                f"noise must be one standard deviation, or one for each of 3 coordinates, or of {points} "
                f"points, got shape {tuple(deviations.shape)}."
            )
        if not bool((deviations > 0).all() & deviations.isfinite().all()):
            raise ObservationError(f"noise must be positive and finite, got {deviations.tolist()}.")
        self.missing = checked_number("missing", missing, least=0.0, below=1.0)
        dtype = torch.get_default_dtype()
        self.register_buffer("noise", deviations.to(dtype).expand(points, 3).clone(), persistent=False)

    def forward(
        self, points: Float[Tensor, "*batch T K 3"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "*batch T K 3"]:
        """Return what sensors report of points [m]: NaN for those that are lost."""
        device = points.device if generator is None else generator.device
        noise = torch.randn(points.shape, dtype=points.dtype, device=device, generator=generator)
        seen = points + self.noise.to(points) * noise.to(points.device)
        if not self.missing:
            return seen
        lost = torch.rand(points.shape[:-1], device=device, generator=generator) < self.missing
        return seen.masked_fill(lost[..., None].to(points.device), torch.nan)


class SimulatedBodies(nn.Module):
    """Bodies that differ in some quantities: drawn from a prior, simulated, and recorded.

    Args:
        observed: the simulation and its sensors.
        state: the initial state of all bodies, `(N, 3)`.
        prior: the quantities.
        noise, missing: as for `SensorErrors`.

    Attributes:
        shape: that of a recording, (T, K, 3).

    Raises:
        ValueError: if there are several initial states.
        ObservationError: as for `SensorErrors`.
    """

    positions: Tensor
    velocities: Tensor

    def __init__(
        self, observed: ObservedRollout, state: State, prior: UniformPrior, *, noise: Any, missing: float
    ) -> None:
        super().__init__()
        observed.rollout.step.check_state(state)
        if state.positions.ndim != 2:
            raise ValueError(
                f"state must be that of all bodies, (N, 3), got shape {tuple(state.positions.shape)}."
            )
        self.observed, self.prior = observed, prior
        self.register_buffer("positions", state.positions.detach().clone(), persistent=False)
        self.register_buffer("velocities", state.velocities.detach().clone(), persistent=False)
        points = len(observed.sensors(state.positions))
        self.shape = (len(observed.times), points, 3)
        self.errors = SensorErrors(noise, missing, points)

    def simulate(self, count: int, seed: int) -> tuple[Float[Tensor, "B P"], Float[Tensor, "B T K 3"]]:
        """Return the stored values of so many bodies, and what is observed of them without errors.

        Raises:
            SimulationError: if a body cannot be simulated, with its values.
        """
        drawn, parts = self.prior.draw(count, torch.Generator().manual_seed(seed)), []
        for rows in drawn.split(AT_ONCE):
            state = self._states(len(rows))
            try:
                with torch.no_grad(), specimen_values(self.prior.unknowns, rows):
                    parts.append(self.observed(state))
            except SimulationError as error:
                if error.sample:
                    values = self._described(rows[error.sample[0]][None])
                    error.args = (f"a body of the prior, with {values}, cannot be simulated: {error}",)
                raise
        points = torch.cat(parts)
        return drawn.to(points.dtype), points.cpu()

    def record(self, count: int, seed: int) -> tuple[Float[Tensor, "B P"], Float[Tensor, "B T K 3"]]:
        """Return the stored values of so many bodies, and recordings of them with errors."""
        stored, points = self.simulate(count, seed)
        return stored, self.errors(points, torch.Generator().manual_seed(seed))

    def scenes(self, recordings: Float[Tensor, "B T K 3"]) -> ObservedScenes:
        """Return recordings of bodies with their initial states."""
        states = self._states(len(recordings))
        return ObservedScenes(states.positions, states.velocities, recordings)

    def checked(self, recordings: Any) -> Float[Tensor, "B T K 3"]:
        """Return recordings of bodies; raise ObservationError unless they are some."""
        points = checked_numbers("recordings", recordings).to(self.positions)
        if points.ndim != 4 or points.shape[1:] != self.shape:
            raise ObservationError(
                f"recordings must be of shape (B, {', '.join(map(str, self.shape))}), B bodies at the times "
                f"of `observed`, got {described(recordings)}."
            )
        if bool(points.isinf().any()):
            where = first_index(points.isinf())
            raise ObservationError(
                f"recordings must be finite, or NaN where a point was not observed, got {points[where]} at "
                f"{where}."
            )
        return points

    def _states(self, count: int) -> State:
        return State(self.positions.expand(count, -1, -1), self.velocities.expand(count, -1, -1))

    def _described(self, stored: Float[Tensor, "1 P"]) -> str:
        with specimen_values(self.prior.unknowns, stored):
            return ", ".join(f"{unknown.name} = {format_unknown(unknown)}" for unknown in self.prior.unknowns)

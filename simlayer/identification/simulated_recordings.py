"""Recordings of simulated bodies, with the errors that sensors make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.errors import ObservationError, SimulationError
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.specimens import specimen_values
from simlayer.identification.unknowns import Unknown, format_unknown
from simlayer.quantities.arguments import checked_number
from simlayer.quantities.arrays import checked_numbers
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


@torch.no_grad()
def simulated_recordings(
    observed: ObservedRollout,
    state: State,
    unknowns: Sequence[Unknown],
    stored: Float[Tensor, "B P"],
) -> Float[Tensor, "B T K 3"]:
    """Return the points that are observed of bodies with these stored values, without errors of sensors.

    Args:
        observed: the simulation and its sensors.
        state: the initial state of all bodies, `(N, 3)`.
        unknowns: the quantities that differ from body to body.
        stored: their stored values.

    Raises:
        SimulationError: if a body cannot be simulated, with its values.
    """
    parts = []
    for rows in stored.split(AT_ONCE):
        positions, velocities = (part.expand(len(rows), -1, -1) for part in state[:2])
        try:
            with specimen_values(unknowns, rows):
                parts.append(observed(State(positions, velocities)))
        except SimulationError as error:
            if error.sample:
                values = _described(unknowns, rows[error.sample[0]][None])
                error.args = (f"a body of the prior, with {values}, cannot be simulated: {error}",)
            raise
    return torch.cat(parts)


def _described(unknowns: Sequence[Unknown], stored: Float[Tensor, "1 P"]) -> str:
    with specimen_values(unknowns, stored):
        return ", ".join(f"{unknown.name} = {format_unknown(unknown)}" for unknown in unknowns)

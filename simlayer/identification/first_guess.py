"""The first guess of a fit, with which errors compare the values that it has reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from simlayer.errors import SimulationError
from simlayer.identification.unknowns import Unknown, format_value, short_names, summarize

# What to check of a body that moves, and of specimens.
MOTION = (
    "how the body starts and when (initial, observation.release_time), its density, gravity, damping and "
    "fixed vertices, and the units of mesh and data. Else try a smaller learning rate."
)
SPECIMENS = (
    "how the specimen is fixed and loaded, the signs of the measurements, and the units of mesh and data. "
    "Else start nearer to the solution, or take smaller steps from one measurement to the next."
)


class FirstGuess:
    """The values of some unknowns before a fit.

    Args:
        unknowns: the unknowns, at their first guess.
    """

    def __init__(self, unknowns: Sequence[Unknown]) -> None:
        self._unknowns = unknowns
        self._values = [unknown.value.clone() for unknown in unknowns]

    @contextmanager
    def explained(self, *, check: str = MOTION) -> Iterator[None]:
        """Add to an error of the simulation how far the fit has come from the first guess.

        Args:
            check: what else may be wrong where no body can be like that, with the remedies.
        """
        try:
            yield
        except SimulationError as error:
            if moved := self._moved():
                error.args = (
                    f"the fit has run to {moved}, where the simulation fails: {error} If no body is like "
                    f"that, the observations cannot be followed for another reason: check {check}",
                )
            raise

    def _moved(self) -> str:
        """Format the unknowns that are no longer at the first guess."""
        names = short_names(self._unknowns)
        return ", ".join(
            f"{names[unknown.name]} = {format_value(summarize(unknown.value))} (from "
            f"{format_value(summarize(first))})"
            for unknown, first in zip(self._unknowns, self._values, strict=True)
            if not torch.equal(unknown.value.cpu(), first.cpu())
        )

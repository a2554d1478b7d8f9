"""The contents of a recording's file, in its own units."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from simlayer.errors import ObservationError


class Contents(NamedTuple):
    """Markers in the file's unit of length, NaN where missing; `None` for what the file does not say."""

    names: tuple[str, ...]
    positions: Float[np.ndarray, "T K 3"]
    times: Float[np.ndarray, "T"] | None
    unit: str | None


def select_markers(names: Sequence[str], markers: Sequence[str] | None, path: Path) -> tuple[str, ...]:
    """Return the requested markers in their order, by default all names in the file."""
    if markers is None:
        return tuple(names)
    if not markers or len(set(markers)) < len(markers) or not set(markers) <= set(names):
        got = ", ".join(markers) or "none"
        raise ObservationError(f"{path}: markers must be different names of {', '.join(names)}; got {got}.")
    return tuple(markers)

"""What a file of a recording holds, as it says it, whatever its format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from simlayer.errors import ObservationError


class Contents(NamedTuple):
    """Markers in the file's own unit of length, NaN where missing; `None` for what the file does not say."""

    names: tuple[str, ...]
    positions: Float[np.ndarray, "T K 3"]
    times: Float[np.ndarray, "T"] | None
    unit: str | None


def chosen(names: Sequence[str], markers: Sequence[str] | None, path: Path) -> tuple[str, ...]:
    """The markers asked for, in this order, of those that the file has; all by default."""
    if markers is None:
        return tuple(names)
    unknown = [name for name in markers if name not in names]
    if unknown or not markers or len(set(markers)) < len(markers):
        got = ", ".join(markers) or "none"
        raise ObservationError(f"{path}: markers must be different names of {', '.join(names)}; got {got}.")
    return tuple(markers)

"""The contents of a recording's file, in its own units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def select_markers(
    found: Sequence[str], markers: Sequence[str] | None, path: Path, labels: Mapping[str, str]
) -> dict[str, str]:
    """Return the name in the file of each requested marker, in their order; by default of all.

    Args:
        found: the names in the file.
        markers: the requested markers.
        path: the file.
        labels: the names that markers may have in the file; one without goes by its own.
    """
    renamed = {label: name for name, label in labels.items()}
    places = {renamed.get(label, label): label for label in found}
    if len(places) < len(found):
        raise ObservationError(
            f"{path}: labels= must leave its markers, {', '.join(found)}, different names."
        )
    if markers is None:
        return places
    if not markers or len(set(markers)) < len(markers) or not set(markers) <= set(places):
        got = ", ".join(markers) or "none"
        raise ObservationError(
            f"{path}: markers must be different names of {', '.join(places)}; got {got}. Where the file has "
            "other names for them, say so in labels= (data.labels)."
        )
    return {name: places[name] for name in markers}

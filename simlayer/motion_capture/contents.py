"""The contents of a recording's file, in its own units."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from simlayer.errors import ObservationError
from simlayer.motion_capture.text_lines import Lines, parse_columns


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
    if not found:
        raise ObservationError(f"{path} has no markers.")
    if doubled := [label for k, label in enumerate(found) if label in found[:k]]:
        raise ObservationError(f"{path} has two markers named {doubled[0]!r}; rename one of them in it.")
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


def marker_positions(
    lines: Lines, columns: Mapping[str, int], names: Mapping[str, str], path: Path
) -> Float[np.ndarray, "T K 3"]:
    """Return the positions of markers whose coordinates stand side by side, with zeros as gaps.

    A marker at exactly (0, 0, 0) is one that was lost: some systems write a gap so.

    Args:
        lines: the cells of each frame.
        columns: where the x of each marker of the file stands.
        names: the markers, and their names in the file.
        path: the file.
    """
    titles = {columns[name] + k: f"{name} {axis}" for name in names.values() for k, axis in enumerate("XYZ")}
    positions = parse_columns(lines, titles, path).reshape(len(lines), len(names), 3)
    zero = (positions == 0).all(-1)
    if zero.any():
        counts = zip(names, zero.sum(0).tolist(), strict=True)
        listed = ", ".join(f"{name} {count}" for name, count in counts if count)
        warnings.warn(
            f"{path}: {int(zero.sum())} samples at exactly (0, 0, 0) are taken as gaps: {listed}.",
            stacklevel=5,
        )
    return np.where(zero[..., None], np.nan, positions)

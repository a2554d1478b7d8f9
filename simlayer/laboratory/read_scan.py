"""Reads the points of a scan from a file."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.errors import ObservationError
from simlayer.material_point.units import LENGTH_UNITS, unit_factor
from simlayer.mesh.validation import LENGTHS
from simlayer.quantities.arguments import checked_number
from simlayer.quantities.objects import checked_path

_TEXT = (".xyz", ".txt", ".csv", ".pts", ".asc")
_NUMPY = (".npz", ".npy")
_AGAIN = "export the scan again, with its points."


def read_scan(
    path: str | os.PathLike[str], *, scale: float | None = None, unit: str | None = None
) -> Float[Tensor, "K 3"]:
    """Read the K points of a scan [m] in double precision: .ply, .obj, .stl, .off, .xyz, .csv, .npy or .npz.

    Triangles are ignored. Text has x, y and z first in each line; lines that begin with # are comments. An
    .npz has one array, or one that is called points.

    Args:
        path: of the file.
        scale: the factor from the file's unit of length to m: 1e-3 for mm, 1 for m. Few files tell it.
        unit: the unit itself, m or mm, in place of `scale`; one of the two must be given.

    Raises:
        ObservationError: for a file without points.
        MeshError: for a surface that cannot be read.
    """
    from simlayer.mesh.surface_files import implausible, is_surface, read_surface

    path = checked_path("path", path)
    factor = _factor(path, scale, unit)
    if not path.is_file():
        raise ObservationError(f"{path} does not exist (looked from {Path.cwd()}).")
    if re.search(rb"^element vertex 0\s*$", path.read_bytes()[:4096], re.MULTILINE):  # of .ply
        raise ObservationError(f"{path} has no points; {_AGAIN}")
    if is_surface(path):
        points = read_surface(path)[0]
    elif path.suffix.lower() in (*_TEXT, *_NUMPY):
        points = _numbers(path)
    else:
        known = ", ".join((".ply", ".obj", ".stl", ".off", *_TEXT, *_NUMPY))
        raise ObservationError(f"{path}: scans are read from {known}; save it as one of them.")
    if not points.size:
        raise ObservationError(f"{path} has no points; {_AGAIN}")
    if points.ndim != 2 or points.shape[1] < 3:
        raise ObservationError(f"{path}: points must be rows of x, y and z, got shape {points.shape}.")
    metres = np.asarray(points[:, :3], dtype=np.float64) * factor
    seen = metres[np.isfinite(metres).all(1)]
    if not len(seen):
        raise ObservationError(f"{path}: all {len(points)} points are NaN or infinite; {_AGAIN}")
    if said := implausible(float(np.ptp(seen, axis=0).max())):
        warnings.warn(f"{path} {said}.", stacklevel=2)
    return torch.from_numpy(np.ascontiguousarray(metres))


def _factor(path: Path, scale: float | None, unit: str | None) -> float:
    """Return what turns the file's unit of length into m; raises ValueError unless it is given once."""
    if (scale is None) == (unit is None):
        raise ObservationError(
            f"{path}: unit or scale must be given, one of them: the unit of length in the file, such as "
            f"unit=mm, or the factor from its numbers to metres, such as scale=1e-3; got unit={unit!r} and "
            f"scale={scale!r}."
        )
    if unit is not None:
        return unit_factor("unit", unit, LENGTH_UNITS, "length")
    return checked_number("scale", scale, unit="m (1e-3 for a file in mm)", **LENGTHS)


def _with_points(text: str) -> str:
    """Return text whose cells are separated by white space, and decimals by points."""
    rows = (line.strip() for line in text.splitlines())
    first = next((row for row in rows if row and not row.startswith("#")), "")
    # A comma between digits, in a row that has several cells without it, is a decimal comma.
    cells = re.split(r"[;\s]+", first)
    decimals = len(cells) > 2 and any(re.search(r"\d,\d", cell) for cell in cells)
    return text.replace(",", "." if decimals else " ").replace(";", " ")


def _rows(path: Path) -> np.ndarray:
    """Return the rows of numbers of a text; raises ObservationError with the line where one is no number."""
    lines = _with_points(path.read_text(errors="replace")).splitlines()
    present = {k: line for k, text in enumerate(lines, 1) if (line := text.partition("#")[0].split())}
    if not present:
        return np.empty((0, 3))
    try:
        return np.loadtxt([" ".join(cells) for cells in present.values()], ndmin=2)
    except ValueError:
        width = len(next(iter(present.values())))
        for number, cells in present.items():
            if len(cells) != width:
                raise ObservationError(
                    f"{path}: line {number} has {len(cells)} cells, and the first has {width}: complete it, "
                    "or remove it."
                ) from None
            if wrong := [cell for cell in cells if not _is_number(cell)]:
                raise ObservationError(
                    f"{path}: line {number}: {wrong[0]!r} is no number: correct it, or remove the line; "
                    "comments begin with #."
                ) from None
        raise


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbers(path: Path) -> np.ndarray:
    try:
        if path.suffix.lower() not in _NUMPY:
            return _rows(path)
        loaded = np.load(path)
        if isinstance(loaded, np.ndarray):
            return loaded
        names = list(loaded)
        name = "points" if "points" in names else names[0]
        if name != "points" and len(names) > 1:
            raise ObservationError(f"{path}: the array must be called points, got {', '.join(names)}.")
        return loaded[name]
    except (OSError, ValueError, IndexError) as error:
        if isinstance(error, ObservationError):
            raise
        raise ObservationError(f"{path} could not be read: {error}. Are there only numbers in it?") from None

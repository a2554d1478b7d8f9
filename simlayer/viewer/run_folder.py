"""Reads the motion of a run from its folder, or from any .pvd that `write_frames` has written."""

from __future__ import annotations

import os
import warnings
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int

from simlayer.mesh.faces import boundary_and_owners
from simlayer.motion_capture.recording import Recording
from simlayer.quantities.objects import checked_path
from simlayer.viewer.motion import DISPLACEMENT, MotionError, SurfaceMotion, length

if TYPE_CHECKING:
    import meshio

FRAMES, POINTS = "motion.pvd", "points.npz"
_LENGTHS = {"velocity [m/s]": "speed [m/s]"}
FROM_START = "displacement since the first frame [m]"


def read_motion(path: str | os.PathLike[str]) -> SurfaceMotion:
    """Read the motion of a run from its folder, or from a .pvd, with its fields and points.

    Vectors become their lengths, tensors are left out, and a field of cells becomes the mean of the cells
    that meet at a vertex of the surface. Frames after a motion has diverged, and fields that are not finite,
    are left out with a warning.

    Raises:
        MotionError: if there is no motion, or it is incomplete.
        MeshError: if a frame cannot be read.
    """
    path = checked_path("path", path)
    listed = path / FRAMES if path.is_dir() else path
    _check_exists(path, listed)
    times, files = _listed(listed)
    frames = _loaded(listed, files)
    cells = torch.from_numpy(frames[0].cells[0].data.astype(np.int64))
    boundary, owners = boundary_and_owners(cells, len(frames[0].points))
    used, triangles = (part.numpy() for part in boundary.unique(return_inverse=True))
    positions = np.stack([frame.points[used] for frame in frames]).astype(np.float64)
    count = _finite_frames(listed, positions)
    frames, positions = frames[:count], positions[:count]
    fields = _vertex_fields(frames, used) | _cell_fields(frames, triangles, owners.numpy())
    if DISPLACEMENT not in fields:
        fields = {FROM_START: np.linalg.norm(positions - positions[0], axis=2), **fields}
    for name in [name for name, values in fields.items() if not np.isfinite(values).all()]:
        warnings.warn(f"{listed}: {name} is not finite everywhere, and is left out.", stacklevel=2)
        del fields[name]
    points = read_points(listed.with_name(POINTS)) if listed.with_name(POINTS).is_file() else {}
    name = listed.resolve().parent.name if listed.name == FRAMES else listed.stem
    return SurfaceMotion(name, times[:count], positions, triangles, fields, points)


def write_points(path: Path, points: Mapping[str, Recording]) -> None:
    """Write recorded and simulated points, as `read_points` reads them."""
    arrays = {}
    for name, recording in points.items():
        arrays[f"{name}.times"] = recording.times.cpu().numpy()
        arrays[f"{name}.positions"] = recording.markers.cpu().numpy().astype(np.float32)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def read_points(path: Path) -> dict[str, Recording]:
    """Read recorded and simulated points by name; raises MotionError if the file is damaged."""
    try:
        # Opened here, because NumPy would not close a damaged file.
        with path.open("rb") as file, np.load(file) as arrays:
            names = [key.removesuffix(".times") for key in arrays if key.endswith(".times")]
            return {
                name: Recording(
                    torch.from_numpy(arrays[f"{name}.times"]), torch.from_numpy(arrays[f"{name}.positions"])
                )
                for name in names
            }
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise MotionError(
            f"{path} cannot be read ({error}); run again, or delete it to see the motion alone."
        ) from error


def _check_exists(path: Path, listed: Path) -> None:
    if not path.exists():
        raise MotionError(f"{path} does not exist (looked from {Path.cwd()}).")
    if listed.suffix != ".pvd":
        raise MotionError(f"{path} is no folder of a run and no .pvd of write_frames.")
    if not listed.exists():
        if not (path / "config.yaml").exists():
            runs = sorted(found.parent.name for found in path.glob(f"*/{FRAMES}"))
            inside = f"; in it are {', '.join(runs[:5])}" if runs else ""
            raise MotionError(f"{path} is no folder of a run: it has no config.yaml and no {FRAMES}{inside}.")
        raise MotionError(
            f"{path} has no {FRAMES}: the run has not ended yet, or is one without a motion, such as a fit "
            "of load curves."
        )


def _listed(path: Path) -> tuple[Float[np.ndarray, "T"], list[Path]]:
    """Return the times and files of the frames that a .pvd lists."""
    try:
        entries = list(ElementTree.parse(path).iter("DataSet"))
        times = np.array([float(entry.attrib["timestep"]) for entry in entries])
        files = [path.parent / entry.attrib["file"] for entry in entries]
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise MotionError(f"{path} is no list of frames as write_frames writes it: {error}") from error
    if not files:
        raise MotionError(f"{path} lists no frames.")
    if not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
        raise MotionError(f"{path}: the times of its frames must increase, got {times.tolist()}.")
    for file in files:
        if not file.is_file():
            raise MotionError(f"{path} lists {file}, which does not exist; write the motion again.")
    return times, files


def _loaded(path: Path, files: list[Path]) -> list[meshio.Mesh]:
    """Return the frames that a .pvd lists, all of one body."""
    from simlayer.mesh.meshio_files import MESHIO_NAMES, load  # meshio takes long to import

    frames = [load(file) for file in files]
    kinds = [block.type for block in frames[0].cells]
    if len(kinds) != 1 or kinds[0] not in MESHIO_NAMES.values():
        raise MotionError(
            f"{files[0]} must hold cells of one type, out of {', '.join(MESHIO_NAMES.values())}, got {kinds}."
        )
    for file, frame in zip(files, frames, strict=True):
        if len(frame.points) != len(frames[0].points):
            raise MotionError(
                f"{path}: all frames must be of one body, but {file.name} has {len(frame.points)} vertices, "
                f"and {files[0].name} {len(frames[0].points)}."
            )
    return frames


def _finite_frames(path: Path, positions: Float[np.ndarray, "T V 3"]) -> int:
    """Return the number of frames before the motion diverges, with a warning if that is not all of them."""
    finite = np.isfinite(positions).all((1, 2))
    if finite.all():
        return len(finite)
    first = int(finite.argmin())
    if first == 0:
        raise MotionError(f"{path}: positions are not finite from the first frame on.")
    warnings.warn(
        f"{path}: positions are not finite from frame {first} on; those before are shown.", stacklevel=3
    )
    return first


def _vertex_fields(frames: list[meshio.Mesh], used: Int[np.ndarray, "V"]) -> dict[str, np.ndarray]:
    fields = {}
    for name in frames[0].point_data:
        size = length(np.stack([frame.point_data[name][used] for frame in frames]).astype(np.float64))
        if size is not None:
            fields[_LENGTHS.get(name, name)] = size
    return fields


def _cell_fields(
    frames: list[meshio.Mesh], triangles: Int[np.ndarray, "S 3"], owners: Int[np.ndarray, "S"]
) -> dict[str, np.ndarray]:
    """Return fields of cells as means, at each vertex of the surface, over the triangles that meet there."""
    fields, corners = {}, triangles.flatten()
    counts = np.bincount(corners)
    for name in frames[0].cell_data:
        size = length(np.stack([frame.cell_data[name][0][owners] for frame in frames]).astype(np.float64))
        if size is not None:
            fields[name] = np.stack([np.bincount(corners, np.repeat(row, 3)) / counts for row in size])
    return fields

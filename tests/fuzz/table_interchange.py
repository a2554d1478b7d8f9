"""Calls that exchange bodies and motions with other packages."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import meshio
import torch
import xarray
from fuzz import scenes
from fuzz.calls import Argument, instance, made, positive, shaped, tensor, truth
from fuzz.kinds import NOTHING, File
from fuzz.scenes import CELLS, VERTICES
from fuzz.table_bodies import FILES, a_mesh, any_fields, any_frames

from simlayer.interchange import (
    from_arrays,
    from_xarray,
    mesh_from,
    read_usd,
    to_arrays,
    to_xarray,
    write_usd,
)
from simlayer.interchange.arrays import NEEDED
from simlayer.mesh.meshio_files import MESHIO_NAMES


class _Arrays:
    """What `from_arrays` accepts."""

    def clean(self, value: Any) -> Any:
        return value if isinstance(value, dict) and set(NEEDED) <= set(value) else NOTHING


def _numbers(**given: Any) -> dict[str, Any]:
    """Return the numbers of a motion as single precision, whatever precision they were given in."""
    arrays = to_arrays(**given)
    del arrays["region_names"]
    return {name: array.astype("float32").round(4) for name, array in arrays.items()}


def _frames() -> torch.Tensor:
    return torch.stack([scenes.positions()] * 2)


@cache
def _stage() -> Path:
    path = Path(tempfile.mkdtemp()) / "motion.usda"
    write_usd(path, scenes.mesh(), _frames())
    return path


def _written(**arguments: Any) -> int:
    """Write a stage to a folder of its own, and return how many files there are."""
    path = arguments.pop("path")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / path if isinstance(path, str) and path else path
        write_usd(path, **arguments)
        return len(list(Path(folder).iterdir()))


@cache
def _cells() -> meshio.Mesh:
    mesh = scenes.mesh()
    return meshio.Mesh(mesh.vertices.numpy(), [(MESHIO_NAMES[mesh.element], mesh.cells.numpy())])


_motion = {
    "mesh": a_mesh,
    "positions": tensor(_frames, any_frames, finite=False),
    "times": tensor(lambda: torch.tensor([0.0, 0.1]), shaped((2,)), rising=True, words=(None,)),
}
_fields = {"vertex_fields": any_fields(VERTICES), "cell_fields": any_fields(CELLS)}
_needed = ("arrays", "missing", "rest_positions", "cells")

CALLS = [
    *made("to_arrays", _numbers, **_motion, **_fields),
    *made("to_xarray", lambda **given: dict(to_xarray(**given).sizes), **_motion, **_fields),
    *made(
        "write_usd",
        _written,
        path=Argument(
            File(lambda path: bool(path) and Path(path).suffix in (".usd", ".usda", ".usdc")),
            lambda: "a.usda",
        ).called(*FILES),
        **_motion,
        frame_rate=positive(24.0),
    ),
    *made(
        "read_usd",
        read_usd,
        path=Argument(File(lambda path: path == str(_stage())), lambda: str(_stage())).called(*FILES, "USD"),
    ),
    *made(
        "mesh_from",
        mesh_from,
        body=instance(_cells, meshio.Mesh),
        scale=positive(0.1),
        tetrahedra=truth(False),
    ),
    *made(
        "from_xarray",
        lambda dataset: from_xarray(dataset).positions,
        dataset=instance(lambda: to_xarray(scenes.mesh(), _frames()), xarray.Dataset),
    ),
    *made(
        "from_arrays",
        lambda arrays: from_arrays(arrays).positions,
        arrays=Argument(_Arrays(), lambda: to_arrays(scenes.mesh(), _frames())).called(*_needed),
    ),
]

"""The motion of a body as it is exchanged with other packages: a mesh, frames, times and fields."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.mesh.mesh import Mesh
from simlayer.mesh.paraview import field_frames, frame_times
from simlayer.quantities.arguments import checked_parts
from simlayer.quantities.arrays import checked_numbers
from simlayer.quantities.objects import checked_instance


class BodyMotion(NamedTuple):
    """A body and its motion in T frames.

    Attributes:
        mesh: the body at rest.
        positions: of its N vertices in each frame [m].
        times: of the frames, in double precision [s].
        vertex_fields: values at the vertices by name, (T, N, ...).
        cell_fields: values of the M cells by name, (T, M, ...).
    """

    mesh: Mesh
    positions: Float[Tensor, "T N 3"]
    times: Float[Tensor, "T"]
    vertex_fields: Mapping[str, Tensor] = {}
    cell_fields: Mapping[str, Tensor] = {}


def checked_motion(
    mesh: Mesh,
    positions: Tensor,
    times: Tensor | None,
    vertex_fields: Mapping[str, Tensor] | None,
    cell_fields: Mapping[str, Tensor] | None,
) -> BodyMotion:
    """Return a motion on the CPU without gradients, whose fields have values in every frame.

    Raises:
        MeshError: if positions, times or a field do not fit the mesh.
    """
    mesh = checked_instance("mesh", mesh, Mesh)
    positions = checked_instance("positions", positions, Tensor)
    times = None if times is None else checked_numbers("times", times)
    moments = frame_times(times, positions, mesh)
    fields = []
    for label, given, count in (
        ("vertex_fields", vertex_fields, len(mesh.vertices)),
        ("cell_fields", cell_fields, len(mesh.cells)),
    ):
        parts = checked_parts(label, {} if given is None else given, Tensor, "a tensor")
        shape = (len(positions), count)
        fields.append({name: field_frames(name, values, shape) for name, values in parts.items()})
    positions = positions.detach().cpu()
    if positions.dtype in (
        torch.float16,
        torch.bfloat16,
    ):  # NumPy has no bfloat16, and files have no half precision
        positions = positions.float()
    return BodyMotion(mesh, positions, torch.tensor(moments, dtype=torch.float64), *fields)


def imported(name: str) -> ModuleType:
    """Import a module of an optional package.

    Raises:
        ImportError: if it is not installed; the message says what to install.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = {"pxr.UsdGeom": "usd-core"}.get(name, name)
        # PyVista is in no extra, because it brings VTK of half a gigabyte.
        wanted = "pyvista" if name == "pyvista" else "'simlayer[interchange]'"
        raise ImportError(f"this needs {package}, which is not installed: pip install {wanted}") from error

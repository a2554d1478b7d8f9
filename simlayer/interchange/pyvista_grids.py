"""Motions as grids of PyVista, which it draws, slices and writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.interchange.bodies import mesh_from
from simlayer.interchange.motion import BodyMotion, checked_motion, imported
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.validation import MeshError

if TYPE_CHECKING:
    import pyvista

# VTK's numbers of the elements.
CELL_TYPES = {"tet4": 10, "hex8": 12, "tet10": 24, "hex20": 25}
REST, REGION = "rest position [m]", "region"
SINGLE = "a body is made of a single grid by mesh_from."


def to_pyvista(
    mesh: Mesh,
    positions: Float[Tensor, "T N 3"],
    *,
    times: Float[Tensor, "T"] | None = None,
    vertex_fields: Mapping[str, Tensor] | None = None,
    cell_fields: Mapping[str, Tensor] | None = None,
) -> pyvista.MultiBlock:
    """Return a motion as blocks, an `UnstructuredGrid` for each frame, named by its time [s].

    Every grid has the fields, the rest shape and the numbers of regions. Other arguments and errors as for
    `to_arrays`.

    Raises:
        ImportError: without PyVista: pip install pyvista.
    """
    pyvista = imported("pyvista")
    motion = checked_motion(mesh, positions, times, vertex_fields, cell_fields)
    cells, blocks = {CELL_TYPES[mesh.element]: mesh.cells.cpu().numpy()}, pyvista.MultiBlock()
    for frame, time in enumerate(motion.times.tolist()):
        grid = pyvista.UnstructuredGrid(cells, motion.positions[frame].numpy())
        grid.point_data[REST] = mesh.vertices.cpu().numpy()
        grid.cell_data[REGION] = mesh.cell_regions.cpu().numpy()
        for name, values in motion.vertex_fields.items():
            grid.point_data[name] = values[frame].numpy()
        for name, values in motion.cell_fields.items():
            grid.cell_data[name] = values[frame].numpy()
        blocks.append(grid, repr(time))
    return blocks


def from_pyvista(blocks: pyvista.MultiBlock) -> BodyMotion:
    """Return the body and the motion in blocks that `to_pyvista` has made, without the names of regions.

    A single grid is a body; use `mesh_from`.

    Raises:
        ImportError: without PyVista: pip install pyvista.
        MeshError: if the blocks are not frames of a motion.
    """
    pyvista = imported("pyvista")
    if not isinstance(blocks, pyvista.MultiBlock) or not len(blocks):
        raise MeshError(
            f"blocks must be a pyvista.MultiBlock of frames, got {type(blocks).__name__}; {SINGLE}"
        )
    grids = list(blocks)
    if not all(isinstance(grid, pyvista.UnstructuredGrid) and REST in grid.point_data for grid in grids):
        raise MeshError(f"every block must have the field {REST!r}, as to_pyvista makes it; {SINGLE}")
    rest = grids[0].copy()
    rest.points = rest.point_data[REST]
    fields = [
        {
            name: torch.from_numpy(np.stack([np.asarray(data(grid)[name]) for grid in grids]))
            for name in list(data(grids[0]).keys())
            if name not in (REST, REGION)
        }
        for data in (lambda grid: grid.point_data, lambda grid: grid.cell_data)
    ]
    positions = torch.from_numpy(np.stack([np.asarray(grid.points) for grid in grids]))
    times = torch.tensor([float(name) for name in blocks.keys()], dtype=torch.float64)  # noqa: SIM118 - it iterates over blocks
    return checked_motion(mesh_from(rest), positions, times, *fields)

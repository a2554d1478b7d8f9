"""Files of several kinds of cells, whose cells are cut into tetrahedra; names stay."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import meshio
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.mesh.cell_shapes import CELL_SHAPES
from simlayer.mesh.geometry import signed_volumes
from simlayer.mesh.meshio_files import MESHIO_NAMES, counted, nodes_of, refusal, solid_kinds
from simlayer.mesh.pieces import coincident
from simlayer.mesh.subdivision import grown_set
from simlayer.mesh.tetrahedra import tetrahedra
from simlayer.mesh.validation import (
    MeshError,
    SourceNumbering,
    check_values,
    check_volumes,
    offenders,
)


class TetrahedralFile(NamedTuple):
    """A file with tetrahedra in place of its cells.

    Attributes:
        file: as it was read, with other cells, and their data and sets.
        nodes: all nodes, new ones at the end [m].
        parents: which of the file's cells each tetrahedron is a part of.
        ancestors: the nodes at the corners of the face or cell that a new node is in the middle of.
    """

    file: meshio.Mesh
    nodes: Float[Tensor, "N_file 3"]
    parents: Int[Tensor, "M"]
    ancestors: Int[Tensor, "A 8"]

    def numbering(self, numbering: SourceNumbering) -> SourceNumbering:
        """Return the file's numbers of nodes, new ones included, and of the cell of each tetrahedron."""
        new = numbering.vertices.max() + 1 + torch.arange(len(self.ancestors))
        return SourceNumbering(
            numbering.source, torch.cat([numbering.vertices, new]), numbering.cells[self.parents]
        )

    def grown(self, nodes: Int[np.ndarray, "_"]) -> Int[np.ndarray, "_"]:
        """Return a set of nodes with the new ones all of whose corners it holds."""
        # Indices that no node has are for the check of sets to name.
        if not len(self.ancestors) or not len(nodes) or nodes[-1] >= len(self.nodes):
            return nodes
        return grown_set(torch.from_numpy(nodes), self.ancestors, len(self.nodes)).numpy()


def must_be_cut(file: meshio.Mesh, path: Path, *, wanted: bool) -> bool:
    """Return whether the cells of a file are to become tetrahedra: it is wanted, or they are of no one kind.

    Raises:
        MeshError: if there are no cells, or some that cannot be cut, or linear and quadratic ones together.
    """
    kinds = solid_kinds(file, path)
    if len(kinds) == 1 and kinds[0] in MESHIO_NAMES.values():
        return wanted and kinds[0].startswith("hexahedron")
    others = [kind for kind in kinds if kind not in CELL_SHAPES]
    if others or len({CELL_SHAPES[kind].is_quadratic for kind in kinds}) > 1:
        raise refusal(file, path)
    if not wanted:
        quadratic = CELL_SHAPES[kinds[0]].is_quadratic
        stiff = "" if quadratic else "; they are stiff in bending, and to_quadratic_elements(mesh) is not"
        warnings.warn(
            f"{path}: its cells, {counted(file)}, are cut into tetrahedra, tet{10 if quadratic else 4}, "
            f"since those of a mesh are of one kind{stiff}. tetrahedra=True says that this is meant.",
            stacklevel=3,
        )
    return True


def as_tetrahedra(
    file: meshio.Mesh, nodes: Float[Tensor, "N_file 3"], merge: float | None, numbering: SourceNumbering
) -> TetrahedralFile:
    """Cut all cells into tetrahedra, those of nodes that `merge` makes one alike.

    Raises:
        MeshError: for cells without nodes, or of which a part is flat or folded.
    """
    solids = [index for index, block in enumerate(file.cells) if block.type in CELL_SHAPES]
    blocks = [(CELL_SHAPES[file.cells[k].type], nodes_of(file, k, numbering.source)) for k in solids]
    counts = [len(cells) for _, cells in blocks]
    for (_, cells), numbers in zip(blocks, numbering.cells.split(counts), strict=True):
        check_values(nodes, cells, numbering._replace(cells=numbers))
    numbers = torch.arange(len(nodes)) if merge is None else coincident(nodes, merge)
    cut = tetrahedra(blocks, nodes, numbers)
    result = TetrahedralFile(
        _with_tetrahedra(file, solids, cut.cells, cut.parents),
        torch.cat([nodes, cut.points]),
        cut.parents,
        cut.corners,
    )
    _check_folded(result.nodes, cut.cells, cut.parents, numbering)
    check_volumes(result.nodes, cut.cells, result.numbering(numbering))
    return result


def _check_folded(
    nodes: Float[Tensor, "N 3"],
    cells: Int[Tensor, "M C"],
    parents: Int[Tensor, "M"],
    numbering: SourceNumbering,
) -> None:
    folded = torch.zeros(len(numbering.cells), dtype=torch.bool)
    folded[parents[signed_volumes(nodes, cells) < 0]] = True
    if folded.any():
        raise MeshError(
            f"{numbering.source}: cells must be convex enough to be cut into tetrahedra; a part of each is "
            f"inside out in cells {offenders(folded, numbering.cells)}. They are folded, or their nodes in "
            "another order than that of VTK: mesh the body again, finer where it bends."
        )


def _with_tetrahedra(
    file: meshio.Mesh, solids: list[int], cells: Int[Tensor, "M C"], parents: Int[Tensor, "M"]
) -> meshio.Mesh:
    kind = MESHIO_NAMES["tet4" if cells.shape[1] == 4 else "tet10"]
    bounds = np.cumsum([0, *(len(file.cells[index]) for index in solids)])
    block = np.searchsorted(bounds, parents.numpy(), side="right") - 1
    rows = {
        index: parents.numpy()[block == place] - bounds[place] for place, index in enumerate(solids)
    }  # of the block, for each tetrahedron in it
    result = copy.copy(file)
    result.cells = list(file.cells)
    for place, index in enumerate(solids):
        result.cells[index] = meshio.CellBlock(kind, cells.numpy()[block == place])
    result.cell_data = {
        name: [values[rows[k]] if k in rows else values for k, values in _indexed(blocks)]
        for name, blocks in file.cell_data.items()
    }
    result.cell_sets = {
        name: [
            np.flatnonzero(np.isin(rows[k], members)) if k in rows and members is not None else members
            for k, members in enumerate(blocks)
        ]
        for name, blocks in file.cell_sets.items()
    }
    return result


def _indexed(blocks: list) -> Iterator[tuple[int, np.ndarray]]:
    return enumerate(map(np.asarray, blocks))

"""The numbers that a mesh file gives its nodes and elements."""

from collections.abc import Iterable

import meshio
import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from simlayer.mesh.cell_shapes import CELL_SHAPES

# Names of data that hold ids, those of VTK and Exodus; readers of other formats end theirs with the suffix.
NODE_IDS = ("GlobalNodeId", "GlobalNodeIds", "vtkOriginalPointIds")
ELEMENT_IDS = ("GlobalElementId", "GlobalCellIds", "vtkOriginalCellIds")
SUFFIX = ":id"


def file_ids(file: meshio.Mesh, num_nodes: int) -> tuple[Int[Tensor, "N_file"], Int[Tensor, "M"]]:
    """Return the ids of all nodes and of all cells of a file; where it gives none, their places from 0."""
    solids = [index for index, block in enumerate(file.cells) if block.type in CELL_SHAPES]
    of_nodes = (values for key, values in file.point_data.items() if key in NODE_IDS or key.endswith(SUFFIX))
    of_cells = (
        np.concatenate([np.empty(0, dtype=int), *(np.asarray(blocks[index]) for index in solids)])
        for key, blocks in file.cell_data.items()
        if key in ELEMENT_IDS or key.endswith(SUFFIX)
    )
    return _first(of_nodes, num_nodes), _first(of_cells, sum(len(file.cells[index]) for index in solids))


def _first(candidates: Iterable[np.ndarray], count: int) -> Int[Tensor, "K"]:
    """Return the first candidate of different whole numbers."""
    for values in map(np.asarray, candidates):
        if values.shape == (count,) and values.dtype.kind in "iu" and len(np.unique(values)) == count:
            return torch.from_numpy(values.astype(np.int64))
    return torch.arange(count)

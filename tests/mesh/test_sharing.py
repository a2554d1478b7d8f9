"""What cells may share: faces with a cell on either side, edges with one middle, no cell twice."""

import re

import numpy as np
import pytest
import torch
from support.mesh_files import solid
from support.meshes import ELEMENTS, wavy

from simlayer.elements.types import ELEMENT_TYPES
from simlayer.mesh.mesh import Mesh, MeshError
from simlayer.mesh.primitives import box_mesh
from simlayer.mesh.reading import read_mesh

CORNERS = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])
every_element = pytest.mark.parametrize("element", ELEMENTS)
quadratic_elements = pytest.mark.parametrize("element", ["tet10", "hex20"])


def test_three_cells_on_one_triangle_are_refused():
    above = torch.cat([CORNERS, torch.tensor([[1.0, 1.0, 2.0]])])
    with pytest.raises(MeshError, match=re.escape("more than two share one in cells 3 of 3: [0, 1, 2]")):
        Mesh(above, torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 5]]))


@quadratic_elements
def test_cells_that_share_an_edge_but_not_its_middle_are_refused(element):
    mesh = box_mesh(cells=(2, 1, 1), element=element)
    cells = mesh.cells.clone()
    middle = max(m for m in range(len(mesh.vertices)) if (cells == m).any(1).sum() > 1)
    owner = (cells == middle).any(1).nonzero()[0]
    cells[owner] = torch.where(cells[owner] == middle, len(mesh.vertices), cells[owner])
    with pytest.raises(MeshError, match="every edge has a vertex of its own in the middle"):
        Mesh(torch.cat([mesh.vertices, mesh.vertices[[middle]]]), cells)


@every_element
def test_a_cell_that_comes_twice_is_refused(element):
    mesh = wavy(element, (2, 1, 1))
    with pytest.raises(MeshError, match="every cell must come once"):
        Mesh(mesh.vertices, mesh.cells[[*range(len(mesh.cells)), 0]])


def folded(element):
    """Two cells of which the second is the mirror image of its neighbour beyond it: over the first one."""
    box = box_mesh(cells=(2, 1, 1), size=(2.0, 1.0, 1.0), element=element)
    vertices = box.vertices.clone()
    vertices[:, 0] = torch.where(vertices[:, 0] > 1, 2.1 - vertices[:, 0], vertices[:, 0])
    return box, vertices


@every_element
def test_a_cell_folded_over_its_neighbour_is_not_turned_but_named(tmp_path, element):
    box, vertices = folded(element)
    over = (vertices[box.cells] != box.vertices[box.cells]).flatten(1).any(1)
    file = solid(element)
    file.points, file.cells[0].data = vertices.numpy(), box.cells.numpy()
    file.write(tmp_path / "b.vtu")
    with pytest.raises(MeshError, match="on the same side, so that they overlap"):
        read_mesh(tmp_path / "b.vtu")
    cells = torch.where(over[:, None], box.cells[:, list(ELEMENT_TYPES[element].inversion_order)], box.cells)
    with pytest.raises(MeshError, match="on the same side, so that they overlap"):
        Mesh(vertices, cells)


def test_the_cells_that_overlap_are_named():
    above, below = torch.tensor([[0.2, 0.2, 0.5]]), torch.tensor([[0.2, 0.2, 0.9]])
    vertices = torch.cat([CORNERS[:3], above, below])
    message = "they overlap, are cells 2 of 2: [0, 1]"
    with pytest.raises(MeshError, match=re.escape(message)):
        Mesh(vertices, torch.tensor([[0, 1, 2, 3], [0, 1, 2, 4]]))


@every_element
def test_cells_numbered_against_their_neighbours_are_turned(tmp_path, element):
    file = solid(element)
    cells = file.cells[0].data
    turned = np.random.default_rng(0).random(len(cells)) < 0.5
    upright = cells.copy()
    cells[turned] = cells[turned][:, list(ELEMENT_TYPES[element].inversion_order)]
    file.write(tmp_path / "b.vtu")
    with pytest.warns(UserWarning, match=f"turned inverted cells, {turned.sum()} of {len(cells)}"):
        mesh = read_mesh(tmp_path / "b.vtu")
    assert torch.equal(mesh.cells, torch.from_numpy(upright))

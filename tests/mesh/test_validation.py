"""What a mesh refuses: cells and vertices that cannot be simulated."""

import re

import pytest
import torch
from jaxtyping import TypeCheckError
from support.meshes import ELEMENTS

from simlayer.elements.types import ELEMENT_TYPES
from simlayer.mesh.mesh import Mesh, MeshError
from simlayer.mesh.primitives import box_mesh

# A run with runtime shape checks refuses wrong shapes and types before our own messages can.
REFUSED = (MeshError, TypeCheckError)
CHECKED = "|Type-check error"

CORNERS = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])
CELLS = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
every_element = pytest.mark.parametrize("element", ELEMENTS)


@pytest.fixture
def beam():
    return box_mesh(cells=(5, 3, 2), size=(0.5, 0.2, 0.1), origin=(1.0, -2.0, 3.0))


def one(element):
    """A single reference cell."""
    nodes = torch.tensor(ELEMENT_TYPES[element].shape.nodes, dtype=torch.float32)
    return nodes, torch.arange(len(nodes))[None]


@pytest.mark.parametrize(
    ("vertices", "cells", "message"),
    [
        (
            CORNERS.long(),
            CELLS,
            "vertices must be floating-point numbers of shape (N, 3) [m], got torch.int64",
        ),
        (CORNERS[:, :2], CELLS, "got torch.float32 of shape (5, 2)"),
        (CORNERS, CELLS.float(), "cells must be integers of shape (M, C)"),
        (CORNERS, CELLS[:, :3], "got torch.int64 of shape (2, 3)"),
        (CORNERS, CELLS[:0], "at least 4 vertices and 1 cell, got shapes (5, 3) and (0, 4)"),
        (CORNERS.to_sparse(), CELLS, "vertices must be a plain tensor, got one that is sparse"),
        (CORNERS, CELLS.to("meta"), "cells must be a plain tensor, got one that is on the device 'meta'"),
        (
            CORNERS,
            CELLS + 1,
            "must lie in [0, 5), got 1 to 5, in cells 1 of 2: [1]. Are they counted from 1?",
        ),
        (CORNERS, CELLS - 1, "must lie in [0, 5), got -1 to 3, in cells 1 of 2: [0]"),
        (CORNERS.log(), CELLS, "must be finite, got NaN or infinity at vertices 4 of 5: [0, 1, 2, 3]"),
        (CORNERS, torch.tensor([[0, 1, 2, 3], [1, 2, 4, 4]]), "a vertex comes twice in cells 1 of 2: [1]"),
        (
            CORNERS * torch.tensor([1.0, 1, 1e-7]),
            CELLS,
            "must be at least 1e-06, got 3.5e-08 and up in cells 2 of 2: [0, 1]",
        ),
        (CORNERS, CELLS[:, [1, 0, 2, 3]], "got inverted cells, 2 of 2: [0, 1]"),
        (CORNERS, CELLS[[0, 1, 1]], "the same four vertices make up cells 2 of 3: [1, 2]"),
        (CORNERS, CELLS[:1], "got unused vertices 1 of 5: [4]"),
    ],
)
def test_a_mesh_that_cannot_be_simulated_says_which_cells_are_wrong(vertices, cells, message):
    with pytest.raises(REFUSED, match=re.escape(message) + CHECKED):
        Mesh(vertices, cells)


def test_many_wrong_cells_are_counted_and_the_first_five_named(beam):
    with pytest.raises(MeshError, match=re.escape("180 of 180: [0, 1, 2, 3, 4] and 175 more")):
        Mesh(beam.vertices, beam.cells[:, [1, 0, 2, 3]])


@pytest.mark.parametrize("element", ["tet10", "hex8", "hex20"])
def test_an_inverted_cell_is_refused_with_the_order_that_turns_it(element):
    vertices, cells = one(element)
    order = list(ELEMENT_TYPES[element].inversion_order)
    with pytest.raises(MeshError, match=re.escape(f"in the order cells[:, {order}]")):
        Mesh(vertices, cells[:, order])
    assert Mesh(vertices, cells[:, order][:, order]).volume > 0


@pytest.mark.parametrize("element", ["tet10", "hex8", "hex20"])
def test_a_cell_that_is_turned_over_at_one_node_is_refused(element):
    vertices, cells = one(element)
    vertices = vertices.clone()
    # A corner pushed far beyond the middle, or a middle that passes the next corner.
    vertices[6 if element == "hex8" else 4] = (
        torch.tensor([-1.0, -1.0, -1.0]) if element == "hex8" else (1.4 * vertices[1])
    )
    with pytest.raises(MeshError, match="got both signs in cells 1 of 1"):
        Mesh(vertices, cells)


@every_element
def test_nodes_in_another_order_are_refused(element):
    vertices, cells = one(element)
    swapped = cells.clone()
    swapped[0, [-1, -2]] = cells[0, [-2, -1]]
    with pytest.raises(MeshError, match=r"det.* must be positive"):
        Mesh(vertices, swapped)

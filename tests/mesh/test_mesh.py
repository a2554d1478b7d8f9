"""Meshes and boxes: what they guarantee, and what they refuse."""

import pickle
import re

import pytest
import torch
from jaxtyping import TypeCheckError
from support.meshes import ELEMENTS, wavy

from simlayer.elements.types import ELEMENT_TYPES
from simlayer.mesh.mesh import Mesh, MeshError
from simlayer.mesh.primitives import box_mesh

# A run with runtime shape checks refuses wrong shapes and types before our own messages can.
REFUSED = (MeshError, TypeCheckError)
CHECKED = "|Type-check error"

CORNERS = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])
CELLS = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])


@pytest.fixture
def beam():
    return box_mesh(cells=(5, 3, 2), size=(0.5, 0.2, 0.1), origin=(1.0, -2.0, 3.0))


def test_a_box_has_the_counts_of_its_grid(beam):
    assert beam.vertices.shape == (6 * 4 * 3, 3)
    assert beam.cells.shape == (5 * 3 * 2 * 6, 4)


def test_a_box_fills_its_volume_with_equal_positive_cells(beam):
    # Coordinates of size 3 are rounded to 3 * 6e-8 in float32, on edges of 0.05: relative error below 1e-5.
    assert torch.allclose(beam.volumes, torch.full((180,), 0.01 / 180), rtol=2e-5, atol=0)
    assert beam.volume.item() == pytest.approx(0.01, rel=2e-5)


def test_a_box_in_double_precision_has_its_volume_to_rounding():
    torch.set_default_dtype(torch.float64)
    try:
        mesh = box_mesh(cells=(7, 3, 5), size=(0.7, 0.2, 0.1))
    finally:
        torch.set_default_dtype(torch.float32)
    assert mesh.vertices.dtype == torch.float64
    assert mesh.volume.item() == pytest.approx(0.014, rel=1e-13)


def test_the_faces_of_a_box_lie_exactly_where_it_ends(beam):
    for axis, (low, size) in enumerate(zip((1.0, -2.0, 3.0), (0.5, 0.2, 0.1), strict=True)):
        for side, value in (("min", low), ("max", low + size)):
            on_face = beam.vertices[:, axis] == torch.tensor(value)
            assert torch.equal(beam.vertex_sets[f"{'xyz'[axis]}_{side}"], on_face.nonzero().flatten())
    assert torch.equal(beam.bounds, torch.tensor([[1.0, -2.0, 3.0], [1.5, -1.8, 3.1]]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cells": (0, 1, 1)}, "cells must be three whole numbers of boxes, each at least 1, got (0, 1, 1)"),
        ({"cells": (1, 1)}, "got (1, 1)"),
        ({"cells": (1, 1, 1), "size": (1.0, 0.0, 1.0)}, "size must be three positive finite lengths in m"),
        (
            {"cells": (1, 1, 1), "size": (1.0, float("inf"), 1.0)},
            "size must be three positive finite lengths",
        ),
        ({"cells": (1, 1, 1), "origin": (0.0, float("nan"), 0.0)}, "origin must be three finite coordinates"),
    ],
)
def test_a_box_that_cannot_be_built_says_which_argument_is_wrong(arguments, message):
    with pytest.raises(MeshError, match=re.escape(message)):
        box_mesh(**arguments)


def test_a_mesh_without_a_file_is_in_its_own_order():
    mesh = Mesh(CORNERS, CELLS.int())
    assert mesh.cells.dtype == torch.int64
    values = torch.rand(2, 5, 3)
    assert torch.equal(mesh.to_file_order(values, 1), values)
    assert torch.equal(mesh.from_file_order(values, -2), values)


def test_vertices_take_the_default_dtype():
    assert Mesh(CORNERS.double(), CELLS).vertices.dtype == torch.get_default_dtype()


def test_vertex_sets_are_sorted_and_without_repetition():
    mesh = Mesh(CORNERS, CELLS, vertex_sets={"some": torch.tensor([4, 1, 4], dtype=torch.int32)})
    assert mesh.vertex_sets["some"].tolist() == [1, 4]
    assert mesh.vertex_sets["some"].dtype == torch.int64


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
        (CORNERS, CELLS[:0], "at least 4 vertices and 1 cell, got 5 and 0"),
        (CORNERS, CELLS + 1, "must lie in [0, 5), got 1 to 5, in cells 1 of 2: 1. Are they counted from 1?"),
        (CORNERS, CELLS - 1, "must lie in [0, 5), got -1 to 3, in cells 1 of 2: 0"),
        (CORNERS.log(), CELLS, "must be finite, got NaN or infinity at vertices 4 of 5: 0, 1, 2, 3"),
        (CORNERS, torch.tensor([[0, 1, 2, 3], [1, 2, 4, 4]]), "a vertex comes twice in cells 1 of 2: 1"),
        (
            CORNERS * torch.tensor([1.0, 1, 1e-7]),
            CELLS,
            "must be at least 1e-06, got 3.5e-08 and up in cells 2 of 2: 0, 1",
        ),
        (CORNERS, CELLS[:, [1, 0, 2, 3]], "got inverted cells, 2 of 2: 0, 1"),
        (CORNERS, CELLS[[0, 1, 1]], "the same four vertices make up cells 2 of 3: 1, 2"),
        (CORNERS, CELLS[:1], "unused vertices 1 of 5: 4"),
    ],
)
def test_a_mesh_that_cannot_be_simulated_says_which_cells_are_wrong(vertices, cells, message):
    with pytest.raises(REFUSED, match=re.escape(message) + CHECKED):
        Mesh(vertices, cells)


def test_three_cells_on_one_triangle_are_refused():
    above = torch.cat([CORNERS, torch.tensor([[1.0, 1.0, 2.0]])])
    with pytest.raises(MeshError, match=re.escape("more than two share one in cells 3 of 3: 0, 1, 2")):
        Mesh(above, torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 5]]))


def test_many_wrong_cells_are_counted_and_the_first_five_named(beam):
    with pytest.raises(MeshError, match=re.escape("180 of 180: 0, 1, 2, 3, 4, ....")):
        Mesh(beam.vertices, beam.cells[:, [1, 0, 2, 3]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"element": "hex8"},
            "element must be 'tet4' for cells of 4 nodes, one of ('tet4', 'tet10', 'hex8', ",
        ),
        ({"vertex_sets": {"a": torch.tensor([5])}}, "vertex set 'a' must hold indices in [0, 5), got 5 to 5"),
        ({"vertex_sets": {"a": torch.tensor([0.0])}}, "vertex set 'a' must hold vertex indices"),
        ({"cell_regions": torch.tensor([0, 1])}, "cell_regions must lie in [0, 1) for the regions ('body',)"),
        ({"cell_regions": torch.tensor([0])}, "cell_regions must be integers of shape (2,)"),
        ({"region_names": ("a", "a")}, "region_names must be different names"),
        ({"file_index": torch.tensor([0, 1, 2, 3, 3])}, "file_index must hold different rows in [0, 5)"),
    ],
)
def test_wrong_names_and_maps_are_refused_with_their_values(options, message):
    with pytest.raises(REFUSED, match=re.escape(message) + CHECKED):
        Mesh(CORNERS, CELLS, **options)


def test_a_mask_is_refused_as_a_vertex_set_with_the_way_to_indices():
    with pytest.raises(REFUSED, match=re.escape("mask.nonzero().flatten()") + CHECKED):
        Mesh(CORNERS, CELLS, vertex_sets={"a": torch.ones(5, dtype=torch.bool)})


def test_values_of_the_wrong_length_are_not_reordered():
    with pytest.raises(MeshError, match=re.escape("must have 5 entries along dim=0, got shape (2, 5, 3)")):
        Mesh(CORNERS, CELLS).from_file_order(torch.zeros(2, 5, 3))


def test_a_mesh_survives_pickling_with_its_cached_boundary(beam):
    boundary = beam.boundary
    copy = pickle.loads(pickle.dumps(beam))
    assert torch.equal(copy.boundary, boundary)
    assert copy.vertex_sets.keys() == beam.vertex_sets.keys()


def test_the_printed_mesh_says_counts_size_sets_and_regions():
    mesh = Mesh(
        CORNERS,
        CELLS,
        vertex_sets={"tip": torch.tensor([4])},
        cell_regions=torch.tensor([1, 0]),
        region_names=("a", "b"),
    )
    assert repr(mesh) == (
        "Mesh(tet4: 5 vertices, 2 cells in [0, 1] x [0, 1] x [0, 1] m;\n"
        "  vertex sets: tip (1);\n  regions: a (1), b (1))"
    )


every_element = pytest.mark.parametrize("element", ELEMENTS)
quadratic_elements = pytest.mark.parametrize("element", ["tet10", "hex20"])


def one(element):
    """A single reference cell."""
    nodes = torch.tensor(ELEMENT_TYPES[element].shape.nodes, dtype=torch.float32)
    return nodes, torch.arange(len(nodes))[None]


@every_element
def test_the_number_of_nodes_says_which_element_it_is(element):
    vertices, cells = one(element)
    assert Mesh(vertices, cells).element == element
    assert Mesh(vertices, cells, element=element).element == element


@every_element
def test_a_box_of_any_element_has_its_volume_its_sides_and_as_many_cells_as_its_kind(element):
    mesh = box_mesh(cells=(5, 3, 2), size=(0.5, 0.3, 0.2), origin=(1.0, 0.0, 0.0), element=element)
    assert mesh.element == element
    assert len(mesh.cells) == 30 * (6 if element.startswith("tet") else 1)
    # Coordinates near 1 are rounded to 6e-8 in float32, on cells of 0.1.
    assert torch.allclose(mesh.volumes, mesh.volumes.mean().expand_as(mesh.volumes), rtol=1e-5, atol=0)
    assert mesh.volume.item() == pytest.approx(0.03, rel=1e-5)
    for axis, (low, size) in enumerate(zip((1.0, 0.0, 0.0), (0.5, 0.3, 0.2), strict=True)):
        for side, value in (("min", low), ("max", low + size)):
            on = mesh.vertices[:, axis] == torch.tensor(value)
            assert torch.equal(mesh.vertex_sets[f"{'xyz'[axis]}_{side}"], on.nonzero().flatten())
            assert on.any()


def test_quadratic_boxes_have_the_vertices_of_a_grid_of_half_the_width():
    fine = box_mesh(cells=(4, 2, 6)).vertices
    places = {tuple(vertex) for vertex in fine.tolist()}
    tetrahedra = box_mesh(cells=(2, 1, 3), element="tet10").vertices
    assert {tuple(vertex) for vertex in tetrahedra.tolist()} == places
    # Serendipity elements have no vertex in the middle of a face or a cell.
    cubes = {tuple(vertex) for vertex in box_mesh(cells=(2, 1, 3), element="hex20").vertices.tolist()}
    assert cubes < places
    assert len(cubes) == 3 * 2 * 4 + 2 * 2 * 4 + 3 * 1 * 4 + 3 * 2 * 3


def test_a_box_of_an_unknown_element_is_refused():
    with pytest.raises(MeshError, match=r"element must be one of .*'hex20'.*, got 'hex27'"):
        box_mesh(cells=(1, 1, 1), element="hex27")


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
    with pytest.raises(MeshError, match="got both signs in cells 1 of 1: 0"):
        Mesh(vertices, cells)


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
def test_nodes_in_another_order_are_refused(element):
    vertices, cells = one(element)
    swapped = cells.clone()
    swapped[0, [-1, -2]] = cells[0, [-2, -1]]
    with pytest.raises(MeshError, match=r"det.* must be positive"):
        Mesh(vertices, swapped)


@every_element
def test_a_cell_that_comes_twice_is_refused(element):
    mesh = wavy(element, (2, 1, 1))
    with pytest.raises(MeshError, match="every cell must come once"):
        Mesh(mesh.vertices, mesh.cells[[*range(len(mesh.cells)), 0]])

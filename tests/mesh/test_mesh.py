"""Meshes: what they hold, and how they map to the order of a file."""

import pickle
import re

import pytest
import torch
from jaxtyping import TypeCheckError
from support.meshes import ELEMENTS, wavy

from simlayer.fem.finite_elements import FiniteElements
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


def test_a_mesh_without_a_file_is_in_its_own_order():
    mesh = Mesh(CORNERS, CELLS.int())
    assert mesh.cells.dtype == torch.int64
    values = torch.rand(2, 5, 3)
    assert torch.equal(mesh.to_file_order(values, 1), values)
    assert torch.equal(mesh.from_file_order(values, -2), values)


def test_vertices_that_require_a_gradient_are_refused():
    with pytest.raises(MeshError, match="vertices must be a constant, got a tensor that requires grad"):
        Mesh(CORNERS.clone().requires_grad_(), CELLS)
    mesh = Mesh(CORNERS.clone(), CELLS)
    mesh.vertices.requires_grad_()
    with pytest.raises(MeshError, match="vertices must be a constant, got a tensor that requires grad"):
        FiniteElements(mesh)


def test_vertices_take_the_default_dtype():
    assert Mesh(CORNERS.double(), CELLS).vertices.dtype == torch.get_default_dtype()


def test_vertex_sets_are_sorted_and_without_repetition():
    mesh = Mesh(CORNERS, CELLS, vertex_sets={"some": torch.tensor([4, 1, 4], dtype=torch.int32)})
    assert mesh.vertex_sets["some"].tolist() == [1, 4]
    assert mesh.vertex_sets["some"].dtype == torch.int64


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
        ({"file_index": torch.tensor([0, 1, 2, 3, 5])}, "file_index must hold different rows in [0, 5)"),
        ({"file_index": torch.tensor([0, 1, 2, 3, 3])}, "file_index must differ, got [3] twice"),
        ({"vertex_ids": torch.tensor([7, 1, 2, 3, 7])}, "vertex_ids must differ, got [7] twice"),
        ({"cell_ids": torch.tensor([7])}, "cell_ids must be integers of shape (2,)"),
    ],
)
def test_wrong_names_and_maps_are_refused_with_their_values(options, message):
    with pytest.raises(REFUSED, match=re.escape(message) + CHECKED):
        Mesh(CORNERS, CELLS, **options)


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"region_names": {"a", "b"}}, "region_names must be in order, as in a list, got"),
        ({"vertex_sets": {"": torch.tensor([1])}}, "vertex_sets must have names that are not empty, got ''"),
        ({"source": ""}, "source must be a text that is not empty, got ''"),
        ({"cell_regions": torch.zeros(2, device="meta").long()}, "cell_regions must be a plain tensor"),
    ],
)
def test_names_and_numbers_of_another_kind_are_refused_by_name(options, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
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


@pytest.mark.parametrize("element", ELEMENTS)
def test_the_number_of_nodes_says_which_element_it_is(element):
    mesh = wavy(element)
    assert Mesh(mesh.vertices, mesh.cells).element == element
    assert Mesh(mesh.vertices, mesh.cells, element=element).element == element

"""Boxes and balls."""

import math
import re

import pytest
import torch
from support.meshes import ELEMENTS

from simlayer.mesh.mesh import MeshError
from simlayer.mesh.primitives import ball_mesh, box_mesh
from simlayer.mesh.refinement import to_quadratic_elements

every_element = pytest.mark.parametrize("element", ELEMENTS)
in_double_precision = pytest.mark.usefixtures("float64")


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
        ({"cells": (0, 1, 1)}, "cells[0] must be an int, at least 1 and at most 1e+06, got 0"),
        ({"cells": (1, 1)}, "cells must be 3 values, got (1, 1)"),
        ({"cells": (1, 1, 1), "size": (1.0, 0.0, 1.0)}, "size[1] must be a finite number in m"),
        ({"cells": (1, 1, 1), "size": (1.0, float("inf"), 1.0)}, "size[1] must be a finite number in m"),
        ({"cells": (1, 1, 1), "origin": (0.0, float("nan"), 0.0)}, "origin[1] must be a finite number in m"),
    ],
)
def test_a_box_that_cannot_be_built_says_which_argument_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        box_mesh(**arguments)


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


@in_double_precision
@pytest.mark.parametrize("element", ["tet4", "hex8"])
@pytest.mark.parametrize("cells", [1, 2, 5])
def test_the_surface_of_a_ball_lies_on_the_sphere(cells, element):
    mesh = ball_mesh(cells, radius=0.3, center=(1.0, 2.0, -1.0), element=element)
    distances = (mesh.vertices - torch.tensor([1.0, 2.0, -1.0])).norm(dim=1)
    surface = mesh.boundary.unique()
    # Rounding of coordinates of size two.
    assert torch.allclose(distances[surface], torch.tensor(0.3), rtol=0, atol=1e-15 * 4)
    assert (distances <= 0.3 + 1e-15 * 4).all()
    assert mesh.element == element


@in_double_precision
def test_the_volume_of_a_ball_converges_in_second_order():
    exact = 4 / 3 * math.pi
    coarse, fine = (exact - float(volume(ball_mesh(n, radius=1.0))) for n in (4, 8))
    assert 0 < fine < 0.02 * exact
    assert coarse / fine == pytest.approx(4, rel=0.05)


@in_double_precision
@pytest.mark.parametrize("element", ["tet4", "hex8"])
def test_a_ball_can_be_made_of_quadratic_elements(element):
    mesh = ball_mesh(2, radius=1.0, element=element)
    assert len(to_quadratic_elements(mesh).cells) == len(mesh.cells)


def volume(mesh):
    edges = mesh.vertices[mesh.cells[:, 1:]] - mesh.vertices[mesh.cells[:, :1]]
    return torch.linalg.det(edges).sum() / 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": 0.0}, r"radius must be a finite number in m, at least .*, got 0.0"),
        ({"radius": math.nan}, "radius must be a finite number in m"),
        ({"radius": 1.0, "center": (0.0, 0.0)}, r"center must be 3 values, got \(0.0, 0.0\)"),
        ({"radius": 1.0, "element": "tet10"}, r"element must be one of \('tet4', 'hex8'\), got 'tet10'"),
        ({"radius": 1.0, "center": (0.0, 0.0, math.inf)}, r"center\[2\] must be a finite number in m"),
    ],
)
def test_what_is_no_ball_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ball_mesh(2, **options)


def test_a_ball_of_no_cells_is_refused():
    with pytest.raises(ValueError, match=r"cells\[0\] must be an int, at least 1"):
        ball_mesh(0, radius=1.0)

"""Selections: the vertices that a person means, and a list of what there is where none is found."""

import re

import pytest
import torch

from simlayer import Mesh, MeshError, box_mesh
from simlayer.app.selection import components, fixed_components, select

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def mesh():
    return box_mesh(cells=(4, 2, 2), size=(0.4, 0.1, 0.1))


def test_a_tag_names_a_vertex_set(mesh):
    assert torch.equal(select(mesh, {"tag": "x_max"}), mesh.vertex_sets["x_max"])


def test_several_tags_name_each_of_their_vertices_once(mesh):
    both = select(mesh, {"tag": ["x_min", "y_max"]})
    on = (mesh.vertices[:, 0] == 0) | (mesh.vertices[:, 1] == 0.1)
    assert torch.equal(both, on.nonzero().flatten())


def test_a_box_holds_what_lies_in_it_or_on_its_faces(mesh):
    chosen = select(mesh, {"box": {"lower": [0.1, 0, 0.05], "upper": [0.3, 0.1, 1]}})
    x, _, z = mesh.vertices.T
    assert torch.equal(chosen, ((x > 0.09) & (x < 0.31) & (z > 0.04)).nonzero().flatten())


@pytest.mark.parametrize("length", [1e-3, 1.0, 50.0])
def test_a_plane_holds_what_lies_on_it_or_behind_it_whatever_the_length_of_its_normal(mesh, length):
    chosen = select(mesh, {"plane": {"point": [0.2, 5.0, -3.0], "normal": [length, 0, 0]}})
    assert torch.equal(chosen, (mesh.vertices[:, 0] < 0.21).nonzero().flatten())
    turned = select(mesh, {"plane": {"point": [0.2, 5.0, -3.0], "normal": [-length, 0, 0]}})
    assert torch.equal(turned, (mesh.vertices[:, 0] > 0.19).nonzero().flatten())


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_vertex_that_a_file_rounded_is_still_on_its_plane_but_none_of_a_hundredth_of_a_cell_away(
    mesh, scale
):
    vertices = mesh.vertices.clone()
    vertices[vertices[:, 0] == 0, 0] += 1e-6
    rounded = Mesh(scale * vertices, mesh.cells)
    plane = {"point": [0, 0, 0], "normal": [1, 0, 0]}
    assert len(select(rounded, {"plane": plane})) == 9
    vertices[vertices[:, 0] < 0.01, 0] += 1e-3
    with pytest.raises(MeshError, match="no vertex lies in plane"):
        select(Mesh(scale * vertices, mesh.cells), {"plane": plane})


def test_what_is_none_is_as_if_not_given(mesh):
    chosen = select(mesh, {"tag": "x_min", "box": None, "plane": None, "components": "x"})
    assert torch.equal(chosen, mesh.vertex_sets["x_min"])


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"tag": "tip"}, "box has no vertices tagged 'tip'; its tags: 'x_min' (9), 'x_max' (9)"),
        ({"tag": ["x_min", "tip"]}, "no vertices tagged 'tip'"),
        ({"box": {"lower": [1, 1, 1], "upper": [2, 2, 2]}}, "no vertex lies in box"),
        (
            {"box": {"lower": [1, 1, 1], "upper": [2, 2, 2]}},
            "the body reaches from [0.0, 0.0, 0.0] to [0.4, 0.1, 0.1] m, and its tags are 'x_min' (9)",
        ),
        ({"box": {"lower": [0, 0, 0]}}, "a box needs upper: three numbers, got None"),
        ({"box": {"lower": [0, 0], "upper": [1, 1, 1]}}, "a box needs lower: three numbers, got [0, 0]"),
        ({"plane": {"point": [0, 0, 0]}}, "a plane needs normal: three numbers, got None"),
        ({"plane": {"point": [0, 0, 0], "normal": [0, 0, 0]}}, "the normal of a plane must not be zero"),
        ({"plane": {"point": [-1, 0, 0], "normal": [1, 0, 0]}}, "no vertex lies in plane"),
        ({}, "tag, box, plane"),
        ({"tag": None}, "tag, box, plane"),
        ({"tag": "x_min", "plane": {"point": [0, 0, 0], "normal": [1, 0, 0]}}, "tag, box, plane"),
    ],
)
def test_a_selection_of_nothing_or_of_two_kinds_says_what_there_is(mesh, selection, message):
    with pytest.raises(MeshError, match=re.escape(message)):
        select(mesh, selection)


def test_a_mesh_without_tags_says_so(mesh):
    with pytest.raises(MeshError, match="its tags: none"):
        select(Mesh(mesh.vertices, mesh.cells), {"tag": "tip"})


@pytest.mark.parametrize(
    ("names", "mask"), [("xyz", [1, 1, 1]), ("x", [1, 0, 0]), ("zy", [0, 1, 1]), ("yy", [0, 1, 0])]
)
def test_components_are_named_by_their_letters(names, mask):
    assert components(names).tolist() == [bool(m) for m in mask]


@pytest.mark.parametrize("names", ["", "w", "xyzw", "X", "x,y"])
def test_components_are_none_but_x_y_and_z(names):
    with pytest.raises(MeshError, match=f"components must be some of the letters x, y, z, got {names!r}"):
        components(names)


def test_a_selection_holds_its_components_and_no_others(mesh):
    fixed = fixed_components(mesh, {"tag": "z_min", "components": "z"})
    assert torch.equal(fixed[:, 2], mesh.vertices[:, 2] == 0)
    assert not fixed[:, :2].any()
    assert fixed_components(mesh, {"tag": "z_min"})[mesh.vertex_sets["z_min"]].all()
    assert not fixed_components(mesh, None).any()

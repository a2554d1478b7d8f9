"""The union of meshes: all of them as they were, side by side, with names that fit together."""

import dataclasses

import pytest
import torch
from support.meshes import ELEMENTS, wavy

from simlayer import Mesh, MeshError, box_mesh, disjoint_union

pytestmark = pytest.mark.usefixtures("float64")


def with_sets(mesh: Mesh, **sets) -> Mesh:
    return dataclasses.replace(mesh, vertex_sets=sets)


@pytest.mark.parametrize("element", ELEMENTS)
def test_every_mesh_is_in_the_union_as_it_was_even_where_they_overlap(element):
    meshes = [wavy(element, (2, 1, 1)), wavy(element, (1, 2, 1)), wavy(element, (2, 1, 1))]
    union = disjoint_union(meshes)
    assert union.element == element
    cells = 0
    vertices = 0
    for mesh in meshes:
        rows = union.cells[cells : cells + len(mesh.cells)]
        assert torch.equal(rows - vertices, mesh.cells)
        assert torch.equal(union.vertices[rows], mesh.vertices[mesh.cells])
        cells, vertices = cells + len(mesh.cells), vertices + len(mesh.vertices)
    assert (len(union.cells), len(union.vertices)) == (cells, vertices)
    assert len(union.boundary) == sum(len(mesh.boundary) for mesh in meshes)


def test_vertex_sets_of_all_are_joined_and_others_kept_with_the_index_of_their_mesh():
    box = box_mesh(cells=(1, 1, 1))
    first = with_sets(box, end=torch.tensor([0, 1]), tip=torch.tensor([7]))
    second = with_sets(box, end=torch.tensor([2]))
    third = with_sets(box, tip=torch.tensor([3]), end=torch.tensor([4]))
    sets = disjoint_union([first, second, third]).vertex_sets
    assert {name: found.tolist() for name, found in sets.items()} == {
        "end": [0, 1, 10, 20],
        "tip of 0": [7],
        "tip of 2": [19],
    }


def test_regions_of_one_name_become_one():
    box = box_mesh(cells=(2, 1, 1))
    halves = (torch.arange(len(box.cells)) >= len(box.cells) // 2).long()
    first = dataclasses.replace(box, cell_regions=halves, region_names=("soft", "hard"))
    second = dataclasses.replace(box, cell_regions=halves, region_names=("hard", "core"))
    union = disjoint_union([first, second])
    assert union.region_names == ("soft", "hard", "core")
    assert torch.equal(union.cell_regions, torch.cat([halves, halves + 1]))


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("meshes", "error", "message"),
    [
        ([], MeshError, "meshes must hold at least one mesh, got none"),
        (box_mesh(cells=(1, 1, 1)), TypeError, "meshes must be a list of meshes, got Mesh"),
        ([box_mesh(cells=(1, 1, 1)), None], TypeError, r"meshes\[1\] must be of class Mesh, got None"),
        (
            [box_mesh(cells=(1, 1, 1), element=element) for element in ("tet4", "hex8")],
            MeshError,
            r"of one element .* meshes\[0\] are 'tet4' on cpu, and those of meshes\[1\] 'hex8' on cpu",
        ),
    ],
)
def test_what_cannot_be_united_is_named(meshes, error, message):
    with pytest.raises(error, match=message):
        disjoint_union(meshes)

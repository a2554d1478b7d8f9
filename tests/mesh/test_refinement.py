"""Refinement: the same body with eight times the cells, and everything that was named still named."""

import pytest
import torch
from support.materials import deformations
from support.meshes import ELEMENTS, wavy

from simlayer import Mesh, MeshError, box_mesh
from simlayer.elements.types import element_of
from simlayer.mesh.refinement import refine, to_quadratic_elements

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def skewed():
    """A box whose inner vertex is moved, sheared, with cells in random order and two regions."""
    box = box_mesh(cells=(2, 2, 2))
    moved = (
        box.vertices + 0.1 * torch.randn(27, 3) * (box.vertices == 0.5).all(1, keepdim=True)
    ) @ deformations()
    cells = box.cells[torch.randperm(len(box.cells))]
    right = (box.vertices[cells].mean(1)[:, 0] > 0.5).long()
    return Mesh(
        moved,
        cells,
        vertex_sets=box.vertex_sets,
        cell_regions=right,
        region_names=("left", "right"),
        source="skew",
    )


def test_a_cell_becomes_eight_of_an_eighth_of_its_volume(skewed):
    finer = refine(skewed)
    assert len(finer.cells) == 8 * len(skewed.cells)
    # A few roundings of volumes of 0.02 m³.
    torch.testing.assert_close(
        finer.volumes.view(-1, 8), (skewed.volumes[:, None] / 8).expand(-1, 8), rtol=0, atol=1e-16
    )


def test_the_first_vertices_are_those_of_the_mesh_and_the_others_all_the_middles_of_its_edges(skewed):
    finer, count = refine(skewed), len(skewed.vertices)
    assert torch.equal(finer.vertices[:count], skewed.vertices)
    edges = {tuple(sorted((a, b))) for cell in skewed.cells.tolist() for a in cell for b in cell if a != b}
    middles = {tuple(skewed.vertices[list(edge)].mean(0).tolist()) for edge in edges}
    assert len(middles) == len(edges)
    assert set(map(tuple, finer.vertices[count:].tolist())) == middles
    assert len(finer.vertices) == count + len(edges)


def test_faces_fit_so_the_boundary_has_four_times_the_triangles_and_the_same_area(skewed):
    finer = refine(skewed)
    assert len(finer.boundary) == 4 * len(skewed.boundary)

    def area(mesh):
        a, b, c = mesh.vertices[mesh.boundary].unbind(1)
        return float(torch.linalg.cross(b - a, c - a).norm(dim=1).sum() / 2)

    assert area(finer) == pytest.approx(area(skewed), rel=1e-13)


def test_the_faces_of_a_box_are_the_faces_of_the_refined_box():
    finer = refine(refine(box_mesh(cells=(2, 1, 2), size=(0.2, 0.1, 0.3))))
    for axis, name in enumerate("xyz"):
        for side, index in (("min", 0), ("max", 1)):
            on = finer.vertices[:, axis] == finer.bounds[index, axis]
            assert torch.equal(finer.vertex_sets[f"{name}_{side}"], on.nonzero().flatten())


def test_a_single_vertex_and_no_vertex_stay_so():
    box = box_mesh(cells=(1, 1, 1))
    sets = {"corner": torch.tensor([3]), "nothing": torch.zeros(0, dtype=torch.int64)}
    finer = refine(Mesh(box.vertices, box.cells, vertex_sets=sets))
    assert finer.vertex_sets["corner"].tolist() == [3]
    assert finer.vertex_sets["nothing"].tolist() == []


def test_regions_are_inherited(skewed):
    finer = refine(skewed)
    assert finer.region_names == skewed.region_names
    for region in (0, 1):
        coarse = skewed.volumes[skewed.cell_regions == region].sum()
        assert finer.volumes[finer.cell_regions == region].sum().item() == pytest.approx(coarse.item())
        corners = finer.cells[finer.cell_regions == region].unique()
        parents = skewed.cells[skewed.cell_regions == region].unique()
        assert set(corners[corners < 27].tolist()) == set(parents.tolist())


def test_a_refined_mesh_says_what_it_is(skewed):
    assert refine(skewed).source == "skew, refined"


# Every element.


def places(vertices):
    """Vertices that compare equal up to rounding, in any order."""
    return sorted(tuple(round(x, 12) + 0.0 for x in vertex) for vertex in vertices.tolist())


@pytest.mark.parametrize("element", ELEMENTS)
def test_a_refined_box_has_the_vertices_and_the_sides_of_a_finer_one(element):
    coarse, finer = (box_mesh(cells=n, size=(0.4, 0.1, 0.2), element=element) for n in ((2, 1, 2), (4, 2, 4)))
    mesh = refine(coarse)
    assert mesh.element == element
    assert len(mesh.cells) == len(finer.cells)
    assert places(mesh.vertices) == places(finer.vertices)
    for name, side in finer.vertex_sets.items():
        assert places(mesh.vertices[mesh.vertex_sets[name]]) == places(finer.vertices[side])


@pytest.mark.parametrize("element", ELEMENTS)
def test_a_refined_curved_body_is_the_same_body(element):
    mesh = wavy(element)
    finer = refine(mesh)
    assert torch.equal(finer.vertices[: len(mesh.vertices)], mesh.vertices)
    # Cells are cut along their own coordinates, so the eight fill what the one did.
    assert torch.allclose(finer.volumes.view(-1, 8).sum(1), mesh.volumes, rtol=1e-12, atol=0)


@pytest.mark.parametrize("element", ["tet4", "hex8"])
def test_quadratic_elements_have_the_corners_volumes_and_names_of_the_linear_ones(element):
    box = wavy(element)
    regions = (box.vertices[box.cells].mean(1)[:, 0] > 0.5).long()
    sides = box.vertex_sets
    mesh = Mesh(box.vertices, box.cells, vertex_sets=sides, cell_regions=regions, region_names=("a", "b"))
    new = to_quadratic_elements(mesh)
    assert new.element == {"tet4": "tet10", "hex8": "hex20"}[element]
    assert torch.equal(new.vertices[: len(mesh.vertices)], mesh.vertices)
    assert torch.equal(new.cells[:, : mesh.cells.shape[1]], mesh.cells)
    assert torch.allclose(new.volumes, mesh.volumes, rtol=1e-12, atol=0)
    assert torch.equal(new.cell_regions, mesh.cell_regions)
    assert new.region_names == ("a", "b")
    ends = torch.tensor(element_of(new.cells).edges)
    for name, side in sides.items():
        # The middles whose two ends are in the set, and no others.
        edges = new.cells[:, ends].flatten(0, 1)
        grown = edges[torch.isin(edges[:, :2], side).all(1)].unique()
        assert torch.equal(new.vertex_sets[name], torch.cat([grown, side]).unique())


def test_quadratic_elements_are_not_made_quadratic_again():
    with pytest.raises(MeshError, match=r"cells must be one of \('tet4', 'hex8'\), got 'tet10'"):
        to_quadratic_elements(box_mesh(cells=(1, 1, 1), element="tet10"))

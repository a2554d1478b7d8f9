"""Reading mesh files: the body is the file's, in its order, turned and scaled as it says."""

import re
from importlib.resources import files

import meshio
import numpy as np
import pytest
import torch
from support.mesh_files import assert_same_body, bare, shuffled, solid
from support.meshes import ELEMENTS

from simlayer.elements.types import ELEMENT_TYPES
from simlayer.mesh.mesh import MeshError
from simlayer.mesh.reading import read_mesh
from simlayer.steps.symplectic_euler import SymplecticEuler


def test_big_endian_numbers_of_vtk_files_are_read(tmp_path):
    file = bare(shuffled())
    file.write(tmp_path / "beam.vtk", binary=True)
    assert meshio.read(tmp_path / "beam.vtk").points.dtype.byteorder == ">"
    assert_same_body(read_mesh(tmp_path / "beam.vtk"), file)


@pytest.mark.parametrize("data_format", ["XML", "Binary"])
def test_xdmf_files_are_read(tmp_path, data_format):
    file = bare(shuffled())
    file.write(tmp_path / "beam.xdmf", data_format=data_format)
    assert_same_body(read_mesh(tmp_path / "beam.xdmf"), file)


def test_scale_turns_millimetres_into_metres(tmp_path):
    file = bare(shuffled())
    file.points *= 1000
    file.write(tmp_path / "beam.vtu")
    mesh = read_mesh(tmp_path / "beam.vtu", scale=1e-3)
    assert mesh.bounds[1].tolist() == pytest.approx([0.5, 0.2, 0.2], rel=1e-6)
    assert mesh.file_vertices.amax().item() == pytest.approx(0.5, rel=1e-6)
    for scale in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"scale must be a finite number in m .*, got {scale}"):
            read_mesh(tmp_path / "beam.vtu", scale=scale)


def test_inverted_cells_of_a_file_are_turned_and_said(tmp_path):
    file = bare(shuffled())
    file.cells[0].data[[3, 8]] = file.cells[0].data[[3, 8]][:, [1, 0, 2, 3]]
    file.write(tmp_path / "beam.vtu")
    with pytest.warns(UserWarning, match=re.escape("turned inverted cells, 2 of 120: [3, 8]")):
        mesh = read_mesh(tmp_path / "beam.vtu")
    assert_same_body(mesh, file)
    assert (mesh.volumes > 0).all()


def test_nodes_without_a_tetrahedron_are_dropped_and_come_back_in_the_file_order(tmp_path):
    file = bare(shuffled())
    file.points = np.concatenate([[[9.0, 9, 9]], file.points, [[8.0, 8, 8]]])
    file.cells[0].data += 1
    file.write(tmp_path / "beam.vtu")
    with pytest.warns(UserWarning, match=re.escape("dropped nodes that no cell uses, 2 of 56: [0, 55].")):
        mesh = read_mesh(tmp_path / "beam.vtu")
    assert_same_body(mesh, file)
    restored = mesh.to_file_order(mesh.vertices[None] * 2, 1, unused=mesh.file_vertices)
    assert torch.equal(restored[0, 1:-1], mesh.file_vertices[1:-1] * 2)
    assert torch.equal(restored[0, [0, -1]], mesh.file_vertices[[0, -1]])
    values = torch.rand(54)
    assert torch.equal(mesh.from_file_order(mesh.to_file_order(values)), values)
    assert mesh.to_file_order(values)[[0, -1]].isnan().all()
    with pytest.raises(MeshError, match=re.escape("has no NaN for unused nodes; pass an integer")):
        mesh.to_file_order(torch.arange(54))


def test_indices_from_the_file_select_the_same_vertices_of_the_mesh(tmp_path):
    file = bare(shuffled())
    file.write(tmp_path / "beam.vtu")
    root = np.flatnonzero(file.points[:, 0] == 0)
    mesh = read_mesh(tmp_path / "beam.vtu")
    step = SymplecticEuler(mesh, {}, dt=1e-3, fixed=torch.from_numpy(root))
    assert torch.equal(step.free[:, 0] == 0, mesh.vertices[:, 0] == 0)


def test_ids_that_a_file_gives_are_kept_and_select_whatever_was_dropped(tmp_path):
    file = bare(shuffled())
    file.points = np.concatenate([[[9.0, 9, 9]], file.points])
    file.cells[0].data += 1
    file.point_data["GlobalNodeId"] = 1000 - 3 * np.arange(len(file.points))
    file.cell_data["GlobalElementId"] = [5 + 2 * np.arange(120)]
    file.write(tmp_path / "beam.vtu")
    with pytest.warns(UserWarning, match=re.escape("dropped nodes that no cell uses, 1 of 55: [1000].")):
        mesh = read_mesh(tmp_path / "beam.vtu")
    ids = file.point_data["GlobalNodeId"]
    root = mesh.vertices_with_ids(ids[file.points[:, 0] == 0].tolist())
    assert torch.equal(root.sort().values, (mesh.vertices[:, 0] == 0).nonzero().flatten())
    assert mesh.cells_with_ids(torch.tensor([9, 5])).tolist() == [2, 0]
    with pytest.raises(
        MeshError, match=re.escape("no vertex has the id [1000]; there are 54 from 838 to 997")
    ):
        mesh.vertices_with_ids([997, 1000])
    with pytest.raises(MeshError, match=re.escape("no cell has the id [6, 244]")):
        mesh.cells_with_ids([6, 5, 244])
    file.cells[0].data[7, 1] = file.cells[0].data[7, 0]
    file.write(tmp_path / "beam.vtu")
    with pytest.raises(MeshError, match=re.escape("comes twice in cells 1 of 120: [19]")):
        read_mesh(tmp_path / "beam.vtu")


def test_without_ids_vertices_and_cells_go_by_their_places_in_the_file(tmp_path):
    file = bare(shuffled())
    file.points = np.concatenate([[[9.0, 9, 9]], file.points])
    file.cells[0].data += 1
    file.point_data["GlobalNodeId"] = np.zeros(len(file.points), dtype=int)  # no ids: all the same
    file.write(tmp_path / "beam.vtu")
    with pytest.warns(UserWarning, match="dropped nodes"):
        mesh = read_mesh(tmp_path / "beam.vtu")
    assert mesh.vertex_ids.tolist() == list(range(1, 55))
    assert mesh.cell_ids.tolist() == list(range(120))


def test_a_random_order_of_the_file_does_not_change_the_body(tmp_path):
    volumes = []
    for seed in (1, 2):
        bare(shuffled(seed)).write(tmp_path / "beam.vtu")
        mesh = read_mesh(tmp_path / "beam.vtu")
        volumes.append({tuple(sorted(map(tuple, mesh.vertices[cell].tolist()))) for cell in mesh.cells})
    assert volumes[0] == volumes[1]


def test_the_cantilever_that_comes_with_the_package_can_be_clamped():
    mesh = read_mesh(str(files("simlayer") / "app" / "assets" / "cantilever.msh"))
    assert mesh.bounds[1].tolist() == pytest.approx([0.1, 0.03, 0.03], rel=1e-6)
    assert torch.equal(mesh.vertices[:, 0] == 0, torch.isin(torch.arange(176), mesh.vertex_sets["clamped"]))
    assert len(mesh.vertex_sets["tip"]) == 16
    assert mesh.region_names == ("beam",)
    assert mesh.volume.item() == pytest.approx(9e-5, rel=1e-5)  # a sum in float32


# Every element.

every_element = pytest.mark.parametrize("element", ELEMENTS)


@every_element
@pytest.mark.parametrize("name", ["b.vtu", "b.vtk", "b.msh", "b.xdmf", "b.inp"])
@pytest.mark.filterwarnings("ignore:.*ends with the line of an element")
def test_a_body_of_any_element_is_read_with_its_nodes_in_their_order(tmp_path, element, name):
    file = solid(element)
    file.write(tmp_path / name, file_format="gmsh" if name == "b.msh" else None)
    mesh = read_mesh(tmp_path / name)
    assert mesh.element == element
    assert torch.equal(mesh.cells, torch.from_numpy(file.cells[0].data))
    assert torch.allclose(mesh.vertices, torch.from_numpy(file.points).float(), rtol=1e-6)


# Gmsh's own order of the middles of edges, from its manual ("Node ordering"), and its numbers of elements.
GMSH = {
    "tet10": (11, ((0, 1), (1, 2), (2, 0), (3, 0), (2, 3), (1, 3))),
    "hex20": (
        17,
        ((0, 1), (0, 3), (0, 4), (1, 2), (1, 5), (2, 3), (2, 6), (3, 7), (4, 5), (4, 7), (5, 6), (6, 7)),
    ),
}


@pytest.mark.parametrize("element", GMSH)
def test_a_file_in_the_order_of_gmsh_comes_out_in_that_of_vtk(tmp_path, element):
    number, edges = GMSH[element]
    corners = np.array(ELEMENT_TYPES[element].linear.nodes)
    points = np.concatenate([corners, [(corners[a] + corners[b]) / 2 for a, b in edges]])
    nodes = [f"{k + 1} {x} {y} {z}" for k, (x, y, z) in enumerate(points)]
    cell = " ".join(map(str, [1, number, 2, 1, 1, *range(1, len(points) + 1)]))
    lines = ["$MeshFormat", "2.2 0 8", "$EndMeshFormat", "$Nodes", str(len(points)), *nodes, "$EndNodes"]
    (tmp_path / "one.msh").write_text("\n".join([*lines, "$Elements", "1", cell, "$EndElements", ""]))
    mesh = read_mesh(tmp_path / "one.msh")
    expected = torch.tensor(ELEMENT_TYPES[element].shape.nodes)
    assert torch.equal(mesh.vertices[mesh.cells[0]], expected)


@every_element
def test_inverted_cells_of_any_element_are_turned(tmp_path, element):
    file = solid(element)
    cells = file.cells[0].data
    upright = cells.copy()
    cells[[1, 4]] = cells[[1, 4]][:, list(ELEMENT_TYPES[element].inversion_order)]
    file.write(tmp_path / "b.vtu")
    with pytest.warns(UserWarning, match=rf"turned inverted cells, 2 of {len(cells)}"):
        mesh = read_mesh(tmp_path / "b.vtu")
    assert torch.equal(mesh.cells, torch.from_numpy(upright))

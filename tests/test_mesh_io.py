"""Reading mesh files: the body is the file's, turned, scaled and renumbered as it says."""

import re
from importlib.resources import files

import meshio
import numpy as np
import pytest
import torch
from mesh_files import assert_same_body, bare, shuffled

from simlayer.mesh import MeshError
from simlayer.mesh_io import read_mesh


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
        with pytest.raises(MeshError, match=f"scale must be positive and finite .*, got {scale}"):
            read_mesh(tmp_path / "beam.vtu", scale=scale)


def test_inverted_cells_of_a_file_are_turned_and_said(tmp_path):
    file = bare(shuffled())
    file.cells[0].data[[3, 8]] = file.cells[0].data[[3, 8]][:, [1, 0, 2, 3]]
    file.write(tmp_path / "beam.vtu")
    with pytest.warns(UserWarning, match=re.escape("turned inverted cells, 2 of 120: 3, 8")):
        mesh = read_mesh(tmp_path / "beam.vtu")
    assert_same_body(mesh, file)
    assert (mesh.volumes > 0).all()


def test_nodes_without_a_tetrahedron_are_dropped_and_come_back_in_the_file_order(tmp_path):
    file = bare(shuffled())
    file.points = np.concatenate([[[9.0, 9, 9]], file.points, [[8.0, 8, 8]]])
    file.cells[0].data += 1
    file.write(tmp_path / "beam.vtu")
    with pytest.warns(UserWarning, match=re.escape("dropped nodes that no cell uses, 2 of 56: 0, 55.")):
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


def test_a_random_order_of_the_file_does_not_change_the_body(tmp_path):
    volumes = []
    for seed in (1, 2):
        bare(shuffled(seed)).write(tmp_path / "beam.vtu")
        mesh = read_mesh(tmp_path / "beam.vtu")
        volumes.append({tuple(sorted(map(tuple, mesh.vertices[cell].tolist()))) for cell in mesh.cells})
    assert volumes[0] == volumes[1]


def test_the_cantilever_that_comes_with_the_package_can_be_clamped():
    mesh = read_mesh(str(files("simlayer") / "assets" / "cantilever.msh"))
    assert mesh.bounds[1].tolist() == pytest.approx([0.1, 0.03, 0.03], rel=1e-6)
    assert torch.equal(mesh.vertices[:, 0] == 0, torch.isin(torch.arange(176), mesh.vertex_sets["clamped"]))
    assert len(mesh.vertex_sets["tip"]) == 16
    assert mesh.region_names == ("beam",)
    assert mesh.volume.item() == pytest.approx(9e-5, rel=1e-5)  # a sum in float32

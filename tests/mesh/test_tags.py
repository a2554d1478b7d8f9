"""Names in mesh files: the same sets and regions come out of every format."""

import re

import meshio
import numpy as np
import pytest
import torch
from support.mesh_files import BEAM, assert_same_body, at, bare, ends, gmsh_41, shuffled

from simlayer.mesh.reading import read_mesh


@pytest.mark.parametrize("binary", [True, False])
def test_physical_groups_of_gmsh_22_become_sets_and_regions(tmp_path, binary):
    file = shuffled()
    file.cell_data["gmsh:geometrical"] = [tags.copy() for tags in file.cell_data["gmsh:physical"]]
    file.copy().write(tmp_path / "beam.msh", file_format="gmsh22", binary=binary)
    mesh = read_mesh(tmp_path / "beam.msh")
    assert_same_body(mesh, file)
    assert set(mesh.vertex_sets) == {"clamped", "tip"}
    assert at(mesh, "clamped") == ends(file, 0.0)
    assert at(mesh, "tip") == ends(file, 0.5)
    assert mesh.region_names == ("beam",)


@pytest.mark.parametrize("binary", [True, False])
def test_physical_groups_of_gmsh_41_become_sets_and_regions(tmp_path, binary):
    file = shuffled()
    file.cell_data["gmsh:geometrical"] = [np.full(len(block), k) for k, block in enumerate(file.cells)]
    # meshio writes the groups only if every block has nodes of its own.
    file.point_data["gmsh:dim_tags"] = np.tile([3, 0], (len(file.points), 1))
    for node, tag in ((0, (2, 1)), (1, (3, 2)), (2, (2, 3))):
        file.point_data["gmsh:dim_tags"][node] = tag
    file.copy().write(tmp_path / "beam.msh", file_format="gmsh", binary=binary)
    written = meshio.read(tmp_path / "beam.msh")  # meshio sorts the nodes
    mesh = read_mesh(tmp_path / "beam.msh")
    assert_same_body(mesh, written)
    assert at(mesh, "clamped") == ends(file, 0.0)
    assert at(mesh, "tip") == ends(file, 0.5)
    assert mesh.region_names == ("beam",)


def test_gmsh_41_with_sparse_node_tags_and_unused_points_is_read(tmp_path):
    file = shuffled()
    gmsh_41(tmp_path / "beam.msh", file)
    with pytest.warns(UserWarning, match=re.escape("dropped nodes that no cell uses, 1 of 55: [0].")):
        mesh = read_mesh(tmp_path / "beam.msh")
    assert at(mesh, "clamped") == ends(file, 0.0)
    assert len(mesh.file_vertices) == len(mesh.vertices) + 1
    assert 0 not in mesh.file_index
    assert mesh.volume.item() == pytest.approx(0.02, rel=1e-5)  # sums of float32


def test_groups_without_a_name_are_named_by_kind_and_number(tmp_path):
    file = shuffled()
    del file.field_data["clamped"]
    file.cell_data["gmsh:physical"][2][:] = 7
    gmsh_41(tmp_path / "beam.msh", file)
    with pytest.warns(UserWarning, match="dropped nodes"):
        mesh = read_mesh(tmp_path / "beam.msh")
    assert at(mesh, "surface_2") == ends(file, 0.0)
    assert mesh.region_names == ("beam", "region_7")
    assert torch.equal(mesh.cell_regions, (mesh.cell_ids >= 50).long())


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(("name", "kind"), [("b.vtu", "vtu"), ("b.vtk", "vtk42"), ("b.vtk", "vtk51")])
def test_arrays_called_set_and_region_name_vertices_and_cells_in_vtk_files(tmp_path, name, kind, binary):
    file = shuffled()
    file.cell_data = {
        "region": [np.full(len(block), 5) for block in file.cells],
        "set:tip": [np.full(len(block), k == 3, dtype=np.int32) for k, block in enumerate(file.cells)],
    }
    file.point_data["set:clamped"] = (file.points[:, 0] == 0).astype(np.int32)
    file.write(tmp_path / name, file_format=kind, binary=binary)
    mesh = read_mesh(tmp_path / name)
    # Text has 11 digits at least, single precision 7.
    assert np.allclose(mesh.vertices, file.points, rtol=1e-6, atol=1e-7)
    assert at(mesh, "clamped") == ends(file, 0.0)
    assert at(mesh, "tip") == ends(file, 0.5)
    assert mesh.region_names == ("region_5",)


@pytest.mark.parametrize("name", ["beam.mesh", "beam.meshb"])
def test_references_of_medit_files_name_surfaces_and_regions(tmp_path, name):
    file = shuffled()
    file.cell_data = {
        "medit:ref": [np.where(tags == BEAM, 0, tags) for tags in file.cell_data["gmsh:physical"]]
    }
    file.point_data["medit:ref"] = np.zeros(len(file.points), dtype=int)
    file.write(tmp_path / name)
    mesh = read_mesh(tmp_path / name)
    assert_same_body(mesh, file)
    assert at(mesh, "surface_2") == ends(file, 0.0)
    assert mesh.region_names == ("body",)


@pytest.mark.parametrize("name", ["beam.node", "beam.ele"])
def test_markers_of_tetgen_files_name_vertices_and_regions(tmp_path, name):
    file = bare(shuffled())
    file.point_data["tetgen:ref"] = (file.points[:, 0] == 0) * 4
    file.cell_data["tetgen:ref"] = [np.arange(len(file.cells[0])) % 2]
    file.write(tmp_path / name)
    mesh = read_mesh(tmp_path / name)
    assert_same_body(mesh, file)
    assert at(mesh, "point_4") == ends(file, 0.0)
    assert mesh.region_names == ("body", "region_1")
    assert torch.equal(mesh.cell_regions, torch.arange(120) % 2)


def test_sets_of_abaqus_files_name_vertices_and_regions_the_smaller_one_first(tmp_path):
    file = bare(shuffled())
    file.point_sets["clamped"] = np.flatnonzero(file.points[:, 0] == 0)
    file.cell_sets = {"all": [np.arange(120)], "stiff": [np.arange(20)], "Volume1": [np.arange(20)]}
    file.write(tmp_path / "beam.inp")
    with pytest.warns(
        UserWarning,
        match=re.escape("several of ['all', 'stiff', 'Volume1']; each counts to the smallest one"),
    ):
        mesh = read_mesh(tmp_path / "beam.inp")
    assert_same_body(mesh, file)
    assert at(mesh, "clamped") == ends(file, 0.0)
    assert mesh.region_names == ("all", "stiff")
    assert torch.equal(mesh.cell_regions, (torch.arange(120) < 20).long())


def test_numbers_that_are_no_names_are_ignored_with_a_warning(tmp_path):
    file = bare(shuffled())
    file.cell_data["region"] = [np.linspace(0, 1, 120)]
    file.write(tmp_path / "beam.vtu")
    with pytest.warns(UserWarning, match="'region' does not hold one whole number each"):
        assert read_mesh(tmp_path / "beam.vtu").region_names == ("body",)


def test_groups_of_med_files_name_vertices_and_regions(tmp_path):
    file = shuffled()
    tetra, triangles = file.get_cells_type("tetra"), file.get_cells_type("triangle")
    soft = np.arange(len(tetra)) < 20
    left = (file.points[triangles][:, :, 0] == 0).all(1)
    point_tags = (file.points[:, 0] == 0.5).astype(int) * 2
    med = meshio.Mesh(
        file.points,
        {"tetra": tetra, "triangle": triangles},
        point_data={"point_tags": point_tags},
        cell_data={"cell_tags": [np.where(soft, -2, -1), np.where(left, -3, 0)]},
    )
    med.point_tags, med.cell_tags = {2: ["tip"]}, {-1: ["body"], -2: ["body", "soft"], -3: ["clamped"]}
    med.write(tmp_path / "beam.med")
    with pytest.warns(UserWarning, match="belong to several"):
        mesh = read_mesh(tmp_path / "beam.med")
    assert at(mesh, "tip") == ends(file, 0.5)
    assert at(mesh, "clamped") == ends(file, 0.0)
    assert mesh.region_names == ("body", "soft")
    assert torch.equal(mesh.cell_regions, (torch.arange(120) < 20).long())


def test_groups_that_gmsh_leaves_out_of_a_file_are_named(tmp_path):
    file = shuffled()
    file.cell_data["gmsh:physical"] = [np.zeros_like(tags) for tags in file.cell_data["gmsh:physical"]]
    file.cell_data["gmsh:geometrical"] = [tags + 1 for tags in file.cell_data["gmsh:physical"]]
    file.write(tmp_path / "beam.msh", file_format="gmsh22", binary=False)
    with pytest.warns(
        UserWarning, match=re.escape("in the groups ['beam', 'clamped', 'tip']") + ".*save as 4.1"
    ):
        mesh = read_mesh(tmp_path / "beam.msh")
    assert mesh.region_names == ("body",)


@pytest.mark.parametrize("key", ["MaterialIds", "MaterialIDs", "CellEntityIds"])
def test_regions_of_other_programs_are_read_where_there_are_no_others(tmp_path, key):
    file = bare(shuffled())
    file.cell_data[key] = [np.arange(120) % 2 + 3]
    file.write(tmp_path / "beam.vtu")
    assert read_mesh(tmp_path / "beam.vtu").region_names == ("region_3", "region_4")
    file.cell_data["region"] = [np.full(120, 9)]
    file.write(tmp_path / "beam.vtu")
    with pytest.warns(UserWarning, match=f"cell data '{key}' hold 2 different whole numbers"):
        mesh = read_mesh(tmp_path / "beam.vtu")
    assert mesh.region_names == ("region_9",)


def test_whole_numbers_on_cells_that_name_nothing_are_warned_of(tmp_path):
    file = bare(shuffled())
    file.cell_data["Label"] = [np.arange(120) % 3]
    file.cell_data["GlobalCellId"] = [np.arange(120)]
    file.cell_data["stress"] = [np.arange(120) % 3.0]
    file.write(tmp_path / "beam.vtu")
    with pytest.warns(UserWarning, match="'Label' hold 3 different whole numbers; if they are regions"):
        mesh = read_mesh(tmp_path / "beam.vtu")
    assert mesh.region_names == ("body",)


def test_a_vertex_set_away_from_the_tetrahedra_is_empty_and_said(tmp_path):
    file = bare(shuffled())
    file.points = np.concatenate([file.points, [[9.0, 9, 9]]])
    file.point_data["set:far"] = (file.points[:, 0] == 9).astype(int)
    file.write(tmp_path / "beam.vtu")
    with (
        pytest.warns(UserWarning, match="dropped nodes"),
        pytest.warns(UserWarning, match="vertex set 'far' has no vertex of a cell"),
    ):
        mesh = read_mesh(tmp_path / "beam.vtu")
    assert len(mesh.vertex_sets["far"]) == 0

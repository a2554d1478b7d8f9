"""Meshes in pieces: named when they are read, and joined where they touch if that is asked for."""

import re

import meshio
import numpy as np
import pytest
import torch
from support.mesh_files import bare, shuffled
from support.meshes import ELEMENTS

from simlayer.mesh.mesh import MeshError
from simlayer.mesh.meshio_files import MESHIO_NAMES
from simlayer.mesh.primitives import box_mesh
from simlayer.mesh.reading import read_mesh


def two_boxes(path, element="tet4", *, gap=0.0):
    """Write two boxes one beside the other, 1 x 1 x 1 m each, with nodes of their own, and a set of each."""
    box = box_mesh(cells=(2, 2, 2), size=(1.0, 1.0, 1.0), element=element)
    points = box.vertices.double().numpy()
    count = len(points)
    points = np.concatenate([points, points + np.array([1 + gap, 0, 0])])
    cells = np.concatenate([box.cells.numpy(), box.cells.numpy() + count])
    touching = np.abs(points[:, 0] - 1) <= 2 * gap
    sets = {"set:touching": touching.astype(int), "set:second": (np.arange(2 * count) >= count).astype(int)}
    meshio.Mesh(points, {MESHIO_NAMES[element]: cells}, point_data=sets).write(path)
    return int(touching.sum()) // 2, len(cells) // 2


@pytest.mark.parametrize("element", ELEMENTS)
def test_pieces_that_only_touch_are_named_and_merged(tmp_path, element):
    touching, cells = two_boxes(tmp_path / "b.vtu", element, gap=1e-9)
    message = f"2 pieces that no vertex joins: {cells} from cell 0 on, {cells} from cell {cells} on"
    with pytest.warns(UserWarning, match=re.escape(message) + f"; {touching} pairs of vertices") as caught:
        apart = read_mesh(tmp_path / "b.vtu")
    merge = float(re.search(r"merge=([\d.e-]+)", str(caught[0].message))[1])
    mesh = read_mesh(tmp_path / "b.vtu", merge=merge)
    assert len(mesh.vertices) == len(apart.vertices) - touching
    assert mesh.volume.item() == pytest.approx(2, rel=1e-6)
    assert mesh.boundary_faces.shape[0] < apart.boundary_faces.shape[0]
    assert len(mesh.vertex_sets["touching"]) == touching
    # The nodes of the second box that were merged are now those of the first, in every set.
    assert set(mesh.vertex_sets["touching"].tolist()) < set(mesh.vertex_sets["second"].tolist())
    positions = mesh.from_file_order(mesh.file_vertices)
    assert torch.equal(positions, mesh.vertices)


def test_pieces_apart_are_named(tmp_path):
    two_boxes(tmp_path / "b.vtu", gap=0.5)
    with pytest.warns(UserWarning, match=re.escape("2 pieces that no vertex joins") + "[^;]*$"):
        read_mesh(tmp_path / "b.vtu")


def test_vertices_that_coincide_in_one_piece_are_named(tmp_path):
    """A slit that a mesh generator left open."""
    file = bare(shuffled())
    cells = file.cells[0].data
    inside = np.flatnonzero(np.isclose(file.points, [0.2, 0.1, 0.2]).all(1))[0]
    owners = np.flatnonzero((cells == inside).any(1))
    cells[owners[0]][cells[owners[0]] == inside] = len(file.points)
    file.points = np.concatenate([file.points, file.points[[inside]]])
    file.write(tmp_path / "b.vtu")
    message = f"1 pairs of vertices coincide without being one ({inside} and 54)"
    with pytest.warns(UserWarning, match=re.escape(message)):
        read_mesh(tmp_path / "b.vtu")
    assert len(read_mesh(tmp_path / "b.vtu", merge=1e-6).vertices) == 54


@pytest.mark.parametrize("merge", [0, -1.0, float("nan"), float("inf"), True])
def test_a_distance_that_is_none_is_refused(tmp_path, merge):
    bare(shuffled()).write(tmp_path / "b.vtu")
    with pytest.raises((TypeError, ValueError), match="merge must be a positive finite number in m"):
        read_mesh(tmp_path / "b.vtu", merge=merge)


def test_a_distance_that_would_flatten_cells_is_refused(tmp_path):
    bare(shuffled()).write(tmp_path / "b.vtu")
    with pytest.raises(MeshError, match=re.escape("merge=0.12 m would make nodes of one cell coincide")):
        read_mesh(tmp_path / "b.vtu", merge=0.12)

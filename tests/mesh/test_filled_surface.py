"""Surfaces become bodies: with their volume, holes or not, and in their units."""

import re
import sys

import meshio
import numpy as np
import pytest
import torch

from simlayer import MeshError, ball_mesh, read_mesh

RADIUS = 40.0  # mm
VOLUME = 4 / 3 * np.pi * (1e-3 * RADIUS) ** 3


@pytest.fixture(scope="module")
def ball():
    """The surface of a ball in millimetres."""
    mesh = ball_mesh(cells=5, radius=RADIUS)
    used, faces = mesh.boundary.unique(return_inverse=True)
    return mesh.vertices[used].double().numpy(), faces.numpy()


def damaged(points, faces):
    """Noise of half a millimetre, four holes, and a smaller ball that sticks out of the side."""
    rng = np.random.default_rng(0)
    points = points + rng.normal(0, 0.5, points.shape)
    kept = np.ones(len(faces), dtype=bool)
    kept[rng.choice(len(faces), 4, replace=False)] = False
    other = 0.4 * points + np.array([RADIUS, 0, 0])
    return np.concatenate([points, other]), np.concatenate([faces[kept], faces + len(points)])


@pytest.mark.parametrize("suffix", [".stl", ".obj", ".ply"])
def test_a_surface_in_millimetres_is_filled_with_tetrahedra_in_metres(tmp_path, ball, suffix, monkeypatch):
    pytest.importorskip("pytetwild")
    monkeypatch.chdir(tmp_path)
    points, faces = ball
    # Inside out, as some programs write them.
    meshio.Mesh(points, {"triangle": faces[:, ::-1]}).write(tmp_path / f"scan{suffix}")
    mesh = read_mesh(tmp_path / f"scan{suffix}", scale=1e-3, edge_length=0.02)
    assert mesh.element == "tet4"
    assert [path.name for path in tmp_path.iterdir()] == [f"scan{suffix}"], "nothing else is written"
    a, b, c = (1e-3 * points[faces[:, k]] for k in range(3))
    enclosed = (a * np.cross(b, c)).sum() / 6
    # Within a 20th of an edge, 1 mm of a radius of 40 mm.
    assert float(mesh.volume) == pytest.approx(enclosed, rel=0.06)
    assert mesh.vertices.norm(dim=1).max().item() == pytest.approx(1e-3 * RADIUS, rel=0.03)


def test_a_scan_with_holes_noise_and_intersections_becomes_one_body(tmp_path, ball):
    pytest.importorskip("pytetwild")
    meshio.Mesh(*(lambda p, f: (p, {"triangle": f}))(*damaged(*ball))).write(tmp_path / "scan.stl")
    mesh = read_mesh(tmp_path / "scan.stl", scale=1e-3, edge_length=0.02)
    # The smaller ball adds less than its own volume, 0.064 of the other, and the other has its own back.
    assert VOLUME * 0.9 < float(mesh.volume) < VOLUME * 1.064
    assert mesh.bounds[1, 0].item() == pytest.approx(1e-3 * 1.4 * RADIUS, rel=0.05)
    assert (mesh.volumes > 0).all()


def test_units_that_are_not_meant_are_said_with_what_to_do(tmp_path, ball):
    points, faces = ball
    meshio.Mesh(points, {"triangle": faces}).write(tmp_path / "scan.stl")
    message = (
        "The body is 78.41 m long: if the file is in millimetres, give scale=1e-3 (it becomes 78.41 mm)."
    )
    with pytest.raises(MeshError, match=re.escape(message)):
        read_mesh(tmp_path / "scan.stl", edge_length=0.02)
    with pytest.raises(MeshError, match=re.escape("0.07841 m, at least a 1000th, got 20 m. Both")):
        read_mesh(tmp_path / "scan.stl", scale=1e-3, edge_length=20.0)
    with pytest.raises(MeshError, match=re.escape("read_mesh(path, edge_length=) fills one with tetrahedra")):
        read_mesh(tmp_path / "scan.stl")


def test_a_missing_package_is_named_with_the_extra_that_brings_it(tmp_path, ball, monkeypatch):
    points, faces = ball
    meshio.Mesh(points, {"triangle": faces}).write(tmp_path / "scan.stl")
    monkeypatch.setitem(sys.modules, "pytetwild", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'simlayer[solid]'")):
        read_mesh(tmp_path / "scan.stl", scale=1e-3, edge_length=0.02)


def test_points_without_triangles_and_bodies_that_are_solid_are_refused(tmp_path, ball):
    (tmp_path / "cloud.obj").write_text("v 0 0 0\nv 1 0 0\n")
    with pytest.raises(MeshError, match="has 2 points and no triangles"):
        read_mesh(tmp_path / "cloud.obj", edge_length=0.1)
    box = meshio.Mesh(np.eye(4, 3), {"tetra": np.array([[3, 0, 1, 2]])})
    box.write(tmp_path / "b.vtu")
    with pytest.raises(MeshError, match=r"edge_length is for surfaces .*; leave it out"):
        read_mesh(tmp_path / "b.vtu", edge_length=0.1)
    assert torch.isfinite(read_mesh(tmp_path / "b.vtu").vertices).all()

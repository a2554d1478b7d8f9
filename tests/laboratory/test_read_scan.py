"""Scans from files: the same points in metres from every format."""

import re

import meshio
import numpy as np
import pytest
import torch

from simlayer import MeshError, ObservationError
from simlayer.laboratory import read_scan

POINTS = np.array([[0.0, 0, 0], [10, 0, 0], [0, 20, 0], [0, 0, 30.5]])
FACES = np.array([[0, 1, 2], [0, 1, 3]])


def write(path):
    suffix = path.suffix
    if suffix in (".ply", ".obj", ".stl", ".off"):
        meshio.Mesh(POINTS, {"triangle": FACES}).write(path)
    elif suffix == ".npz":
        np.savez(path, points=POINTS, colours=np.zeros(4))
    elif suffix == ".npy":
        np.save(path, POINTS)
    else:
        separator = {".csv": ",", ".txt": "; "}.get(suffix, " ")
        rows = [separator.join(map(str, [*row, 255, 0, 0])) for row in POINTS.tolist()]
        path.write_text("\n".join(["# x y z r g b", *rows, ""]))


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".stl", ".off", ".npz", ".npy", ".xyz", ".csv", ".txt"])
def test_points_in_millimetres_are_read_in_metres(tmp_path, suffix):
    write(tmp_path / f"scan{suffix}")
    points = read_scan(tmp_path / f"scan{suffix}", scale=1e-3)
    assert points.dtype == torch.float64
    # Those of .stl have single precision, and come in the order of its triangles.
    expected = torch.from_numpy(1e-3 * POINTS)
    torch.testing.assert_close(points.unique(dim=0), expected.unique(dim=0), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("separator", [" ", "; ", "\t"])
def test_decimal_commas_are_no_separators(tmp_path, separator):
    rows = [separator.join(f"{x:.2f}".replace(".", ",") for x in row) for row in POINTS.tolist()]
    (tmp_path / "scan.txt").write_text("\n".join(rows))
    torch.testing.assert_close(read_scan(tmp_path / "scan.txt", scale=0.1), torch.from_numpy(0.1 * POINTS))


def test_clouds_without_triangles_are_read(tmp_path):
    header = "ply\nformat ascii 1.0\nelement vertex 4\n" + "".join(f"property float {x}\n" for x in "xyz")
    rows = "\n".join(" ".join(map(str, row)) for row in POINTS.tolist())
    (tmp_path / "scan.ply").write_text(f"{header}end_header\n{rows}\n")
    torch.testing.assert_close(read_scan(tmp_path / "scan.ply", scale=0.1), torch.from_numpy(0.1 * POINTS))


def test_a_scan_in_the_wrong_unit_is_warned_of(tmp_path):
    write(tmp_path / "scan.xyz")
    with pytest.warns(UserWarning, match=r"is 30.5 m long: if the file is in millimetres, give scale=1e-3"):
        read_scan(tmp_path / "scan.xyz", scale=1.0)


def test_the_unit_is_given_once_by_its_name_or_as_a_scale(tmp_path):
    write(tmp_path / "scan.xyz")
    points = read_scan(tmp_path / "scan.xyz", unit="mm")
    torch.testing.assert_close(points, read_scan(tmp_path / "scan.xyz", scale=1e-3))
    for options in ({}, {"unit": "mm", "scale": 1e-3}):
        with pytest.raises(ObservationError, match=r"scan.xyz: unit or scale must be given, one of them"):
            read_scan(tmp_path / "scan.xyz", **options)
    with pytest.raises(ObservationError, match=r"unit must be the unit of the length .* got 'milli'"):
        read_scan(tmp_path / "scan.xyz", unit="milli")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("scan.docx", b"", "scans are read from .ply, .obj"),
        ("scan.xyz", b"1 2 3\n4 5 six\n", "line 2: 'six' is no number: correct it, or remove the line"),
        ("scan.csv", b"1,2\n3,4\n", "must be rows of x, y and z, got shape (2, 2)"),
        ("scan.xyz", b"1 2 3\n\n4 5\n", "line 3 has 2 cells, and the first has 3"),
        ("scan.xyz", b"# nothing\n", "scan.xyz has no points; export the scan again"),
        ("scan.xyz", b"nan nan nan\n", "all 1 points are NaN or infinite; export the scan again"),
        ("scan.ply", b"ply\nformat ascii 1.0\nelement vertex 0\nend_header\n", "scan.ply has no points"),
        ("scan.npz", b"PK", "could not be read"),
    ],
)
def test_files_without_points_say_what_is_wrong(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ObservationError, match=re.escape(message)):
        read_scan(tmp_path / name, scale=1e-3)
    with pytest.raises(ObservationError, match="does not exist"):
        read_scan(tmp_path / "missing.ply", scale=1e-3)
    (tmp_path / "broken.stl").write_bytes(b"solid\n")
    with pytest.raises(MeshError):
        read_scan(tmp_path / "broken.stl", scale=1e-3)

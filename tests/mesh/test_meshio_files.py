"""Broken and foreign files: every one says what is wrong with it, and none gives another body."""

import re
import warnings

import meshio
import numpy as np
import pytest
import torch
from support.mesh_files import bare, gmsh_41, shuffled

from simlayer.mesh.mesh import MeshError
from simlayer.mesh.reading import read_mesh


def test_a_gmsh_file_with_some_entities_outside_groups_says_how_to_save_it(tmp_path):
    gmsh_41(tmp_path / "beam.msh", shuffled(), ungrouped=(2,))
    with pytest.raises(MeshError, match=re.escape("Save the groups only (Gmsh: Mesh.SaveAll = 0)")):
        read_mesh(tmp_path / "beam.msh")


def test_a_gmsh_text_file_with_numpy_names_in_its_data_says_to_save_it_as_binary(tmp_path):
    file = bare(shuffled())
    file.point_data["u"] = np.zeros(len(file.points))
    file.write(tmp_path / "beam.msh", file_format="gmsh", binary=False)
    with pytest.raises(MeshError, match=re.escape("file_format='gmsh', binary=True)")):
        read_mesh(tmp_path / "beam.msh")


def broken(name):
    """A mesh with one fault, and what the error must say about it, in the file's numbering."""
    file = bare(shuffled())
    cells, points = file.cells[0].data, file.points
    if name == "index":
        cells[7, 1] = 54
        return file, "vertex indices must lie in [0, 54), got 0 to 54, in cells 1 of 120: [7]"
    if name == "nan":
        points[5] = np.nan
        return file, "positions must be finite, got NaN or infinity at vertices 1 of 54: [5]"
    if name == "corner":
        cells[7, 1] = cells[7, 0]
        return file, "a vertex comes twice in cells 1 of 120: [7]"
    if name == "twice":
        cells[7] = cells[9]
        return file, "the same four vertices make up cells 2 of 120: [7, 9]"
    points[cells[7, 0]] = points[cells[7, 1:]].mean(0)
    return file, "(longest edge)³ must be at least 1e-06"


@pytest.mark.parametrize("name", ["index", "nan", "corner", "twice", "flat"])
@pytest.mark.filterwarnings("ignore:.*turned inverted cells")
def test_a_file_with_a_fault_names_itself_and_its_own_numbers(tmp_path, name):
    file, message = broken(name)
    file.write(tmp_path / "beam.vtu")
    with pytest.raises(MeshError, match=re.escape(message)) as caught:
        read_mesh(tmp_path / "beam.vtu")
    assert "beam.vtu" in str(caught.value)


def test_surfaces_and_other_elements_are_refused_by_their_types(tmp_path):
    file = shuffled()
    meshio.Mesh(file.points, [block for block in file.cells if block.type == "triangle"]).write(
        tmp_path / "s.vtu"
    )
    with pytest.raises(MeshError, match=re.escape("no tetrahedra or hexahedra, got 16 triangle")):
        read_mesh(tmp_path / "s.vtu")
    meshio.Mesh(np.random.rand(20, 3), {"tetra20": np.arange(20)[None]}).write(
        tmp_path / "other.msh", "gmsh22"
    )
    with pytest.raises(MeshError, match=re.escape("hexahedron20), got 1 tetra20. Mesh the body with")):
        read_mesh(tmp_path / "other.msh")


def test_files_that_are_not_there_or_not_meshes_say_so(tmp_path):
    (tmp_path / "empty.msh").touch()
    (tmp_path / "picture.vtu").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (tmp_path / "picture.msh").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "body.stl").write_text("solid\nendsolid\n")
    expected = {
        "missing.msh": "does not exist",
        ".": "is a folder",
        "empty.msh": "is empty (0 bytes)",
        "picture.vtu": "could not be read",
        "picture.msh": "could not be read",
        "notes.txt": "Could not deduce file format",
        "body.stl": ".stl files hold surfaces",
    }
    for name, message in expected.items():
        with pytest.raises(MeshError, match=re.escape(message)):
            read_mesh(tmp_path / name)


def test_an_error_without_a_reason_says_what_to_do(tmp_path):
    (tmp_path / "beam.xdmf").write_text("<Domain></Domain>\n")
    with pytest.raises(MeshError, match=re.escape("save it as .vtu or Gmsh .msh 4.1")):
        read_mesh(tmp_path / "beam.xdmf")


def test_a_vtu_file_of_several_pieces_is_refused_not_cut_to_the_last(tmp_path):
    bare(shuffled()).write(tmp_path / "beam.vtu")
    text = (tmp_path / "beam.vtu").read_text()
    piece = text[text.index("<Piece") : text.index("</UnstructuredGrid")]
    (tmp_path / "beam.vtu").write_text(text.replace(piece, piece + piece))
    with pytest.raises(MeshError, match="has several pieces"):
        read_mesh(tmp_path / "beam.vtu")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("beam.msh", {"file_format": "gmsh", "binary": True}),
        ("beam.msh", {"file_format": "gmsh", "binary": False}),
        ("beam.msh", {"file_format": "gmsh22", "binary": True}),
        ("beam.msh", {"file_format": "gmsh22", "binary": False}),
        ("beam.vtu", {"binary": True}),
        ("beam.vtu", {"binary": False}),
        ("beam.vtk", {"binary": True}),
        ("beam.vtk", {"binary": False}),
        ("beam.mesh", {}),
        ("beam.ele", {}),
    ],
)
def test_a_file_cut_short_anywhere_never_gives_another_body_in_silence(tmp_path, name, options):
    file = bare(shuffled())
    file.write(tmp_path / name, **options)
    content = (tmp_path / name).read_bytes()
    whole = read_mesh(tmp_path / name)
    end = len(content)
    for length in [*np.linspace(1, end - 40, 25).astype(int), *range(end - 40, end)]:
        (tmp_path / name).write_bytes(content[:length])
        with warnings.catch_warnings():
            warnings.filterwarnings("error", ".*may be cut short")
            warnings.filterwarnings("ignore", ".*(meshio says|dropped nodes)")
            try:
                mesh = read_mesh(tmp_path / name)
            except (MeshError, UserWarning):
                continue
        assert torch.equal(mesh.cells, whole.cells), f"{length} of {end} bytes"
        assert torch.equal(mesh.vertices, whole.vertices), f"{length} of {end} bytes"

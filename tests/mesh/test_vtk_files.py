"""VTK files as other programs write them: legacy arrays, voxels, XML under the wrong extension."""

import re

import meshio
import pytest
import torch
from support.mesh_files import assert_same_body, bare, shuffled

from simlayer.mesh.mesh import MeshError
from simlayer.mesh.primitives import box_mesh
from simlayer.mesh.reading import read_mesh

LEGACY = (
    "# vtk DataFile Version 3.0\ntwo cells and a face\nASCII\nDATASET UNSTRUCTURED_GRID\nPOINTS 5 double\n"
    "0 0 0 1 0 0 0 1 0 0 0 1 1 1 1\nCELLS 3 14\n4 0 1 2 3\n4 1 2 3 4\n3 0 1 2\nCELL_TYPES 3\n10\n10\n5\n"
    "CELL_DATA 3\n"
)


def scalars(name, kind="int 1"):
    return f"SCALARS {name} {kind}\nLOOKUP_TABLE default\n"


@pytest.mark.parametrize("kind", ["int", "int 1", "unsigned_char 1", "long 1", "float 1", "vtkIdType 1"])
@pytest.mark.parametrize("name", ["region", "MaterialIds", "CellEntityIds"])
def test_scalars_of_legacy_files_name_regions(tmp_path, name, kind):
    (tmp_path / "b.vtk").write_text(LEGACY + scalars(name, kind) + "4 7 0\n")
    mesh = read_mesh(tmp_path / "b.vtk")
    assert mesh.region_names == ("region_4", "region_7")


def test_scalars_of_legacy_files_name_sets_and_faces(tmp_path):
    cells = scalars("region") + "4 7 3\n" + scalars("set:one") + "0 0 1\n"
    points = f"POINT_DATA 5\n{scalars('set:top')}0 0 0 0 1\n"
    (tmp_path / "b.vtk").write_text(LEGACY + cells + points)
    mesh = read_mesh(tmp_path / "b.vtk")
    assert {name: len(vertices) for name, vertices in mesh.vertex_sets.items()} == {
        "one": 3,
        "top": 1,
        "surface_3": 3,
    }


def voxels(path):
    """Write 2 x 1 x 1 boxes as voxels, whose corners go along x, then y, then z."""
    points = [(x, y, z) for z in (0, 1) for y in (0, 1) for x in (0, 1, 2)]
    cells = [
        [x + 3 * y + 6 * z for z in (0, 1) for y in (0, 1) for x in (start, start + 1)] for start in (0, 1)
    ]
    rows = [" ".join(map(str, row)) for row in cells]
    flat = " ".join(f"{a} {b} {c}" for a, b, c in points)
    if path.suffix == ".vtk":
        head = f"# vtk DataFile Version 3.0\n\nASCII\nDATASET UNSTRUCTURED_GRID\nPOINTS 12 double\n{flat}\n"
        path.write_text(f"{head}CELLS 2 18\n8 {rows[0]}\n8 {rows[1]}\nCELL_TYPES 2\n11\n11\n")
        return
    array = '<DataArray type="{}" Name="{}" NumberOfComponents="{}" format="ascii">{}</DataArray>'
    path.write_text(
        '<VTKFile type="UnstructuredGrid" version="0.1" byte_order="LittleEndian"><UnstructuredGrid>'
        '<Piece NumberOfPoints="12" NumberOfCells="2"><Points>'
        + array.format("Float64", "Points", 3, flat)
        + "</Points><Cells>"
        + array.format("Int64", "connectivity", 1, " ".join(rows))
        + array.format("Int64", "offsets", 1, "8 16")
        + array.format("UInt8", "types", 1, "11 11")
        + "</Cells></Piece></UnstructuredGrid></VTKFile>\n"
    )


@pytest.mark.parametrize("name", ["b.vtk", "b.vtu"])
def test_voxels_are_hexahedra(tmp_path, name):
    voxels(tmp_path / name)
    mesh = read_mesh(tmp_path / name)
    assert mesh.element == "hex8"
    assert torch.equal(mesh.volumes, torch.ones(2))


def test_xml_under_the_extension_of_legacy_files_is_read(tmp_path):
    file = bare(shuffled())
    file.write(tmp_path / "beam.vtu")
    (tmp_path / "beam.vtu").rename(tmp_path / "beam.vtk")
    assert_same_body(read_mesh(tmp_path / "beam.vtk"), file)


def test_cells_that_cannot_be_read_are_not_left_out(tmp_path):
    box = box_mesh(cells=(2, 1, 1), element="hex8")
    meshio.Mesh(box.vertices.numpy(), {"hexahedron": box.cells.numpy()}).write(
        tmp_path / "b.vtu", binary=False
    )
    text = (tmp_path / "b.vtu").read_text()
    # A Bézier hexahedron among them.
    (tmp_path / "b.vtu").write_text(re.sub(r"(Name=\"types\"[^>]*>\s*)12", r"\g<1>83", text))
    with pytest.raises(MeshError, match="cannot handle"):
        read_mesh(tmp_path / "b.vtu")

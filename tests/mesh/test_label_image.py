"""Images of VTK: the same labels come out of every way to write them, and every fault is said."""

import base64
import re
import struct
import zlib

import numpy as np
import pytest
import torch
from support.mesh_files import bare, shuffled

from simlayer import MeshError, read_image, read_mesh

LABELS = np.zeros((4, 3, 2), dtype=np.int32)
LABELS[:3, 1:] = 2
LABELS[0, 1, 0] = 7
SPACING, ORIGIN = (100.0, 200.0, 300.0), (1000.0, 0.0, -50.0)


def test_the_labels_of_a_file_are_meshed_like_those_of_an_array(tmp_path):
    write_vti(tmp_path / "b.vti")
    mesh = read_mesh(tmp_path / "b.vti", scale=1e-3)
    assert (mesh.element, mesh.region_names) == ("hex8", ("label_2", "label_7"))
    middles = mesh.vertices[mesh.cells].mean(1)
    expected = torch.tensor(np.argwhere(LABELS != 0) + 0.5) * torch.tensor([0.1, 0.2, 0.3])
    torch.testing.assert_close(middles, (expected + torch.tensor([1.0, 0.0, -0.05])).float())
    assert mesh.cell_regions.tolist() == (LABELS[LABELS != 0] == 7).astype(int).tolist()
    named = read_image(tmp_path / "b.vti").mesh(names={7: "bone"})
    assert named.region_names == ("label_2", "bone")


CODINGS = ["ascii", "binary", "appended raw", "appended base64"]


@pytest.mark.parametrize("header", ["UInt32", "UInt64"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("order", ["LittleEndian", "BigEndian"])
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("name", ["b.vti", "b.vtk"])
def test_labels_are_those_of_any_coding_under_any_name(tmp_path, coding, order, compressed, header, name):
    write_vti(tmp_path / name, coding, order=order, compressed=compressed, header=header)
    image = read_image(tmp_path / name)
    assert np.array_equal(image.labels, LABELS)
    assert (image.spacing, image.origin) == (SPACING, ORIGIN)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("of_cells", [False, True])
@pytest.mark.parametrize("field", [False, True])
def test_labels_of_legacy_files_are_read(tmp_path, binary, of_cells, field):
    points = [n + of_cells for n in LABELS.shape]
    head = f"DATASET STRUCTURED_POINTS\nDIMENSIONS {points[0]} {points[1]} {points[2]}\n"
    head += "ORIGIN 1000 0 -50\nSPACING 100 200 300\n"
    head += f"{'CELL' if of_cells else 'POINT'}_DATA 24\n"
    head += (
        "FIELD FieldData 1\nlabel 1 24 short\n" if field else "SCALARS label short 1\nLOOKUP_TABLE default\n"
    )
    values = LABELS.transpose().astype(">i2").ravel()
    data = values.tobytes() if binary else " ".join(map(str, values.tolist())).encode()
    start = f"# vtk DataFile Version 3.0\na body\n{'BINARY' if binary else 'ASCII'}\n{head}"
    (tmp_path / "b.vtk").write_bytes(start.encode() + data + b"\n")
    image = read_image(tmp_path / "b.vtk")
    assert np.array_equal(image.labels, LABELS)
    # A voxel has its point in the middle.
    corner = ORIGIN if of_cells else tuple(o - s / 2 for o, s in zip(ORIGIN, SPACING, strict=True))
    assert image.origin == corner
    assert read_mesh(tmp_path / "b.vtk").region_names == ("label_2", "label_7")


def test_the_labels_are_chosen_by_name_where_there_are_several(tmp_path):
    write_vti(tmp_path / "b.vti", more="<DataArray type='Int8' Name='mask' format='ascii'>1 1</DataArray>")
    with pytest.raises(
        MeshError, match=r"need one array of whole numbers.* label, mask\. Choose one by read_"
    ):
        read_mesh(tmp_path / "b.vti")
    assert np.array_equal(read_image(tmp_path / "b.vti", array="label").labels, LABELS)
    with pytest.raises(MeshError, match="'mask' must have 24 values, one for each cell, got 2"):
        read_image(tmp_path / "b.vti", array="mask")
    with pytest.raises(MeshError, match="one array 'other' of whole numbers"):
        read_image(tmp_path / "b.vti", array="other")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ('type="Int32"', 'type="Float32"'),
            "there are none, and others: label. Label the",
        ),
        (('Direction="1 0 0 0 1 0 0 0 1"', 'Direction="0 1 0 1 0 0 0 0 1"'), "axes of an image must be x, y"),
        (("</Piece>", '</Piece><Piece Extent="0 1 0 1 0 1"></Piece>'), "got 2 pieces"),
        (("vtkZLib", "vtkLZ4"), "vtkLZ4DataCompressor is not read; save the image with zlib"),
        (("</ImageData>", ""), "Is it complete?"),
    ],
)
def test_what_is_not_read_is_said_with_a_remedy(tmp_path, change, message):
    write_vti(tmp_path / "b.vti", "binary", compressed=True)
    text = (tmp_path / "b.vti").read_text()
    assert change[0] in text
    (tmp_path / "b.vti").write_text(text.replace(*change))
    with pytest.raises(MeshError, match=re.escape(message)):
        read_image(tmp_path / "b.vti")


def test_arguments_for_cells_and_surfaces_are_refused_for_an_image(tmp_path):
    write_vti(tmp_path / "b.vti")
    with pytest.raises(MeshError, match="merge and tetrahedra are for files of cells"):
        read_mesh(tmp_path / "b.vti", tetrahedra=True)
    with pytest.raises(MeshError, match="edge_length is for surfaces"):
        read_mesh(tmp_path / "b.vti", edge_length=0.1)


def test_pieces_of_an_image_and_files_that_are_none_are_refused(tmp_path):
    apart = LABELS.copy()
    apart[2:] = 0
    apart[3, 0, 0] = 1
    write_vti(tmp_path / "b.vti", labels=apart)
    with pytest.raises(MeshError, match=r"b.vti: .* in 2 pieces .* largest=True"):
        read_mesh(tmp_path / "b.vti")
    assert len(read_image(tmp_path / "b.vti").mesh(largest=True).cells) == 8
    bare(shuffled()).write(tmp_path / "beam.vtu")
    with pytest.raises(MeshError, match="is no image of VTK"):
        read_image(tmp_path / "beam.vtu")
    with pytest.raises(MeshError, match="does not exist"):
        read_image(tmp_path / "none.vti")


@pytest.mark.parametrize("coding", CODINGS)
def test_an_image_cut_short_anywhere_never_gives_another_body(tmp_path, coding):
    write_vti(tmp_path / "b.vti", coding)
    content = (tmp_path / "b.vti").read_bytes()
    for length in range(300, len(content), 7):
        (tmp_path / "b.vti").write_bytes(content[:length])
        try:
            image = read_image(tmp_path / "b.vti")
        except MeshError:
            continue
        assert np.array_equal(image.labels, LABELS)


def write_vti(
    path, coding="ascii", *, order="LittleEndian", compressed=False, header="UInt32", labels=LABELS, more=""
):
    sign = "<" if order == "LittleEndian" else ">"
    number = sign + ("I" if header == "UInt32" else "Q")
    raw = labels.transpose().astype(sign + "i4").tobytes()
    head, parts = struct.pack(number, len(raw)), raw
    if compressed:
        blocks = [zlib.compress(raw[:64]), zlib.compress(raw[64:])]
        head = struct.pack(number[0] + 5 * number[1], 2, 64, len(raw) - 64, *map(len, blocks))
        parts = b"".join(blocks)
    # VTK encodes the header of compressed arrays by itself, and that of others with them.
    text = base64.b64encode(head) + base64.b64encode(parts) if compressed else base64.b64encode(head + parts)
    kind, _, encoding = coding.partition(" ")
    inner, tail = {"ascii": " ".join(map(str, labels.transpose().ravel())), "binary": text.decode()}, b""
    if kind == "appended":
        tail = f'<AppendedData encoding="{encoding}">\n_'.encode() + (
            head + parts if encoding == "raw" else text
        )
        tail += b"\n</AppendedData>\n"
    n = labels.shape
    compressor = 'compressor="vtkZLibDataCompressor"' if compressed else ""
    # The extent starts at 1 along x, where the origin is that of 0.
    xml = (
        f'<?xml version="1.0"?>\n<VTKFile type="ImageData" version="1.0" byte_order="{order}" '
        f'header_type="{header}" {compressor}>\n<ImageData WholeExtent="1 {n[0] + 1} 0 {n[1]} 0 {n[2]}" '
        f'Origin="900 0 -50" Spacing="100 200 300" Direction="1 0 0 0 1 0 0 0 1">\n'
        f'<Piece Extent="1 {n[0] + 1} 0 {n[1]} 0 {n[2]}">\n<CellData Scalars="label">\n'
        f'<DataArray type="Int32" Name="label" format="{kind}" offset="0">{inner.get(kind, "")}</DataArray>\n'
        f"{more}</CellData>\n</Piece>\n</ImageData>\n"
    )
    path.write_bytes(xml.encode() + tail + b"</VTKFile>\n")

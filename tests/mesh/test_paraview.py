"""Frames for ParaView: what is written is what was given, in the order of the file."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import meshio
import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from support.mesh_files import solid
from support.meshes import ELEMENTS

from simlayer.mesh.mesh import Mesh, MeshError
from simlayer.mesh.paraview import write_frames
from simlayer.mesh.primitives import box_mesh
from simlayer.mesh.reading import read_mesh

# A run with runtime shape checks refuses wrong shapes and types before our own messages can.
REFUSED = (MeshError, TypeCheckError)
CHECKED = "|Type-check error"


@pytest.fixture
def mesh(tmp_path):
    """A body from a file in random order, with one node that no cell uses."""
    box = box_mesh(cells=(3, 2, 2))
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(box.vertices), generator=generator)
    points = torch.empty_like(box.vertices)
    points[order] = box.vertices
    points = torch.cat([points, torch.tensor([[7.0, 7, 7]])])
    cells = order[box.cells][torch.randperm(len(box.cells), generator=generator)]
    meshio.Mesh(points.numpy(), {"tetra": cells.numpy()}).write(tmp_path / "body.vtu")
    with pytest.warns(UserWarning, match="dropped nodes"):
        return read_mesh(tmp_path / "body.vtu")


def frames(path):
    """Times and meshes that a .pvd lists."""
    entries = ET.parse(path).getroot().findall("./Collection/DataSet")
    times = [float(entry.attrib["timestep"]) for entry in entries]
    return times, [meshio.read(path.parent / entry.attrib["file"]) for entry in entries]


def test_frames_hold_positions_and_cells_in_the_order_of_the_file(tmp_path, mesh):
    positions = mesh.vertices + torch.rand(3, len(mesh.vertices), 3)
    path = write_frames(
        tmp_path / "new" / "motion.pvd", mesh, positions, times=torch.tensor([0.0, 0.25, 1.5])
    )
    assert path == tmp_path / "new" / "motion.pvd"
    times, written = frames(path)
    assert times == [0.0, 0.25, 1.5]
    source = meshio.read(tmp_path / "body.vtu")
    for frame, expected in zip(written, positions, strict=True):
        assert np.array_equal(frame.cells[0].data, source.cells[0].data)
        assert torch.equal(mesh.from_file_order(torch.from_numpy(frame.points)), expected)
        assert frame.points[-1].tolist() == [7, 7, 7]


def test_a_frame_at_rest_reads_back_as_the_body(tmp_path, mesh):
    path = write_frames(tmp_path / "rest", mesh, mesh.vertices[None])
    with pytest.warns(UserWarning, match="dropped nodes"):
        again = read_mesh(path.parent / "rest_frames" / "frame_000000.vtu")
    assert torch.equal(again.vertices, mesh.vertices)
    assert torch.equal(again.cells, mesh.cells)


def test_fields_follow_their_vertices_and_cells(tmp_path, mesh):
    count, cells = len(mesh.vertices), len(mesh.cells)
    positions = mesh.vertices.expand(2, count, 3)
    vertex_fields = {
        "speed": torch.rand(2, count, requires_grad=True),
        "mass": torch.rand(count, dtype=torch.float64),
        "fixed": torch.rand(count) < 0.5,
        "number": torch.arange(count),
    }
    cell_fields = {"stress": torch.rand(2, cells, 3, 3), "modulus": torch.rand(cells).half()}
    path = write_frames(
        tmp_path / "m.pvd", mesh, positions, vertex_fields=vertex_fields, cell_fields=cell_fields
    )
    times, written = frames(path)
    assert times == [0.0, 1.0]
    for step, frame in enumerate(written):
        data = {name: torch.from_numpy(values) for name, values in frame.point_data.items()}
        speed = vertex_fields["speed"].detach()[step]
        assert torch.equal(mesh.from_file_order(data["speed"]), speed)
        assert data["speed"][-1].isnan()
        assert torch.equal(mesh.from_file_order(data["mass"]), vertex_fields["mass"])
        assert torch.equal(mesh.from_file_order(data["fixed"]).bool(), vertex_fields["fixed"])
        assert torch.equal(mesh.from_file_order(data["number"]).long(), vertex_fields["number"])
        stress = torch.from_numpy(frame.cell_data["stress"][0])
        assert torch.equal(stress, cell_fields["stress"][step].flatten(1))
        modulus = torch.from_numpy(frame.cell_data["modulus"][0])
        assert torch.equal(modulus, cell_fields["modulus"].float())


def test_positions_with_gradients_of_another_precision_are_written(tmp_path, mesh):
    positions = mesh.vertices[None].double().requires_grad_() / 3
    _, written = frames(write_frames(tmp_path / "m.pvd", mesh, positions))
    assert torch.equal(mesh.from_file_order(torch.from_numpy(written[0].points)), positions[0].detach())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"positions": torch.zeros(1, 4, 3)},
            "positions must be real numbers of shape (T, 36, 3), got torch.float32",
        ),
        ({"positions": torch.zeros(2, 36, 3).to_sparse()}, "of shape (2, 36, 3), sparse"),
        ({"positions": torch.zeros(2, 36, 3, device="meta")}, "of shape (2, 36, 3), on the device 'meta'"),
        ({"positions": torch.zeros(0, 36, 3)}, "at least one frame, got shape (0, 36, 3)"),
        (
            {"times": torch.tensor([0.0])},
            "times must be 2 finite, rising numbers in s, one per frame, got [0.0]",
        ),
        ({"times": torch.tensor([1.0, 1.0])}, "rising numbers in s, one per frame, got [1.0, 1.0]"),
        ({"times": torch.tensor([0.0, torch.nan])}, "times must be 2 finite"),
        (
            {"vertex_fields": {"u": torch.zeros(35)}},
            "field 'u' must have shape (2, 36, ...) or (36, ...), got (35,)",
        ),
        ({"vertex_fields": {"u": torch.zeros(3, 36)}}, "got (3, 36)"),
        ({"cell_fields": {"p": torch.zeros(2, 36)}}, "field 'p' must have shape (2, 72, ...) or (72, ...)"),
        (
            {"vertex_fields": {"u": torch.zeros(36) * 1j}},
            "got a tensor that is complex; write .real",
        ),
        ({"cell_fields": {"p": torch.zeros(72).to_sparse()}}, "got a tensor that is sparse"),
        ({"path": "motion.vtu"}, "name it motion.pvd"),
    ],
)
def test_what_cannot_be_written_is_refused_with_its_shape_and_nothing_is_written(
    tmp_path, mesh, options, message
):
    arguments = {"path": "m.pvd", "positions": torch.zeros(2, 36, 3)} | options
    path, positions = tmp_path / "out" / arguments.pop("path"), arguments.pop("positions")
    with pytest.raises(REFUSED, match=re.escape(message) + CHECKED):
        write_frames(path, mesh, positions, **arguments)
    assert not (tmp_path / "out").exists()


def test_a_field_without_a_name_is_refused(tmp_path, mesh):
    with pytest.raises(ValueError, match="cell_fields must have names that are not empty, got ''"):
        write_frames(tmp_path / "m.pvd", mesh, mesh.vertices[None], cell_fields={"": torch.zeros(72)})


def test_positions_that_are_not_finite_are_written_and_said(tmp_path, mesh):
    positions = mesh.vertices.repeat(3, 1, 1)
    positions[1:, 0] = torch.nan
    with pytest.warns(UserWarning, match="positions are not finite from frame 1 on"):
        path = write_frames(tmp_path / "m.pvd", mesh, positions)
    assert len(frames(path)[0]) == 3


def test_a_crash_leaves_no_list_of_frames_behind(tmp_path, mesh, monkeypatch):
    path = write_frames(tmp_path / "m.pvd", mesh, mesh.vertices.repeat(2, 1, 1))
    assert path.exists()

    def crash(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(meshio.Mesh, "write", crash)
    with pytest.raises(OSError, match="disk full"):
        write_frames(path, mesh, mesh.vertices.repeat(2, 1, 1))
    assert not list(tmp_path.glob("m.pvd*"))


def test_names_with_special_characters_and_a_relative_path_are_kept(tmp_path, mesh, monkeypatch):
    monkeypatch.chdir(tmp_path)
    field = {'|v| < "c" & é': torch.rand(len(mesh.vertices))}
    path = write_frames('a & "b".pvd', mesh, mesh.vertices[None], vertex_fields=field)
    assert path == Path('a & "b".pvd')
    _, written = frames(path)
    assert list(written[0].point_data) == list(field)


def test_a_box_without_a_file_is_written_as_it_is(tmp_path):
    box = box_mesh(cells=(1, 1, 1))
    _, written = frames(write_frames(tmp_path / "box.pvd", box, box.vertices[None]))
    assert torch.equal(torch.from_numpy(written[0].points), box.vertices)
    assert torch.equal(torch.from_numpy(written[0].cells[0].data), box.cells)
    assert Mesh(torch.from_numpy(written[0].points), torch.from_numpy(written[0].cells[0].data)).volume > 0


@pytest.mark.parametrize("element", ELEMENTS)
def test_frames_of_any_element_are_the_file_with_other_positions(tmp_path, element):
    file = solid(element)
    file.write(tmp_path / "body.vtu")
    mesh = read_mesh(tmp_path / "body.vtu")
    write_frames(tmp_path / "motion", mesh, torch.stack([mesh.vertices, 2 * mesh.vertices]))
    frame = meshio.read(tmp_path / "motion_frames" / "frame_000001.vtu")
    assert frame.cells[0].type == file.cells[0].type
    assert np.array_equal(frame.cells[0].data, file.cells[0].data)
    assert np.allclose(frame.points, 2 * file.points, rtol=1e-6)

"""The folder of a run: its motion is what was written, and what is no run is refused with a reason."""

import numpy as np
import pytest
import torch
from support.motions import FRAMES, MESH, TIMES, bent, markers, motion, run_folder

from simlayer.mesh.paraview import write_frames
from simlayer.mesh.primitives import box_mesh
from simlayer.viewer import MotionError, read_motion


def test_the_motion_of_a_run_is_that_of_its_mesh(tmp_path):
    stress = torch.rand(FRAMES, len(MESH.vertices))
    fields = {"von Mises stress [Pa]": stress}
    read = read_motion(run_folder(tmp_path / "run", vertex_fields=fields))
    expected = motion(vertex_fields=fields)
    assert read.name == "run"
    assert np.array_equal(read.times, TIMES.numpy())
    assert np.array_equal(read.positions, expected.positions)
    assert np.array_equal(read.triangles, expected.triangles)
    assert read.fields.keys() == expected.fields.keys()
    for name, values in expected.fields.items():
        # The length of the displacement is of single precision there.
        assert read.fields[name] == pytest.approx(values, rel=1e-6, abs=1e-12)


def test_points_are_read_with_their_gaps(tmp_path):
    read = read_motion(run_folder(tmp_path / "run"))
    expected = markers()["observed"]
    assert list(read.points) == ["observed"]
    found = read.points["observed"]
    assert torch.equal(found.times.double(), expected.times.double())
    assert torch.equal(found.markers.float().nan_to_num(-1), expected.markers.nan_to_num(-1))


def test_a_velocity_is_shown_as_a_speed_and_a_tensor_is_left_out(tmp_path):
    velocities = torch.tensor([0.0, 0.6, 0.8]).expand(FRAMES, len(MESH.vertices), 3)
    stress = torch.rand(FRAMES, len(MESH.vertices), 3, 3)
    fields = {"velocity [m/s]": velocities, "Cauchy stress [Pa]": stress}
    read = read_motion(run_folder(tmp_path / "run", vertex_fields=fields))
    assert list(read.fields) == ["displacement [m]", "speed [m/s]"]
    assert read.fields["speed [m/s]"] == pytest.approx(1.0)


def test_a_field_of_cells_is_the_mean_of_those_at_a_vertex(tmp_path):
    middles = MESH.vertices[MESH.cells].mean(1)
    read = read_motion(
        run_folder(tmp_path / "run", cell_fields={"one": torch.ones(len(MESH.cells)), "x": middles[:, 0]})
    )
    assert read.fields["one"] == pytest.approx(1.0)
    # Cells at a vertex are at most one of their own lengths away, 0.05 m.
    assert np.abs(read.fields["x"][0] - read.positions[0, :, 0]).max() < 0.05


@pytest.mark.parametrize("element", ["tet10", "hex8", "hex20"])
def test_frames_of_other_elements_have_their_surface(tmp_path, element):
    mesh = box_mesh(cells=(2, 1, 1), element=element)
    path = write_frames(tmp_path / "body.pvd", mesh, mesh.vertices[None])
    read = read_motion(path)
    assert read.name == "body"
    corners = read.positions[0][read.triangles]
    assert np.array_equal(corners, mesh.vertices[mesh.boundary].double().numpy())


def test_without_a_displacement_it_is_measured_from_the_first_frame(tmp_path):
    read = read_motion(write_frames(tmp_path / "body.pvd", MESH, bent() + 1.0))
    assert list(read.fields) == ["displacement since the first frame [m]"]
    assert read.fields["displacement since the first frame [m]"][0].max() == 0


def test_of_a_motion_that_diverges_the_frames_before_are_shown(tmp_path):
    positions = bent()
    positions[4:, 7] = torch.nan
    with pytest.warns(UserWarning, match="written as they are"):
        path = write_frames(tmp_path / "body.pvd", MESH, positions, times=TIMES)
    with pytest.warns(UserWarning, match="not finite from frame 4 on; those before are shown"):
        read = read_motion(path)
    assert np.array_equal(read.times, TIMES[:4].numpy())
    assert {len(values) for values in read.fields.values()} == {4}


def test_a_field_that_is_not_finite_is_left_out_with_a_warning(tmp_path):
    stress = torch.ones(FRAMES, len(MESH.vertices))
    stress[2, 0] = torch.nan
    run = run_folder(tmp_path / "run", vertex_fields={"stress [Pa]": stress})
    with pytest.warns(UserWarning, match=r"stress \[Pa\] is not finite everywhere, and is left out"):
        assert list(read_motion(run).fields) == ["displacement [m]"]


def refusal(path):
    with pytest.raises(MotionError) as error:
        read_motion(path)
    return str(error.value)


def test_what_is_no_run_is_refused_with_a_reason(tmp_path):
    assert "does not exist" in refusal(tmp_path / "missing")
    run = run_folder(tmp_path / "outputs" / "run")
    assert "is no folder of a run" in refusal(run.parent)
    assert "in it are run" in refusal(run.parent)
    assert "is no folder of a run and no .pvd" in refusal(run / "config.yaml")
    (run / "motion.pvd").unlink()
    assert "has no motion.pvd: the run has not ended yet, or is one without a motion" in refusal(run)


def test_what_is_incomplete_is_refused_with_the_file(tmp_path):
    run = run_folder(tmp_path / "run")
    points = run / "points.npz"
    points.write_bytes(points.read_bytes()[:100])
    assert "points.npz cannot be read" in refusal(run)
    points.unlink()
    assert read_motion(run).points == {}
    (run / "motion_frames" / "frame_000003.vtu").unlink()
    assert "frame_000003.vtu, which does not exist" in refusal(run)
    (run / "motion.pvd").write_text("<VTKFile>")
    assert "is no list of frames" in refusal(run)
    (run / "motion.pvd").write_text("<VTKFile></VTKFile>")
    assert "lists no frames" in refusal(run)
    nowhere = torch.full_like(MESH.vertices, torch.nan)[None]
    with pytest.warns(UserWarning, match="written as they are"):
        path = write_frames(tmp_path / "body.pvd", MESH, nowhere)
    assert "not finite from the first frame on" in refusal(path)


def test_frames_of_several_bodies_are_refused(tmp_path):
    run = run_folder(tmp_path / "run")
    mesh = box_mesh(cells=(1, 1, 1))
    small = write_frames(tmp_path / "small.pvd", mesh, mesh.vertices[None])
    last = run / "motion_frames" / "frame_000005.vtu"
    last.write_bytes((small.parent / "small_frames" / "frame_000000.vtu").read_bytes())
    assert "all frames must be of one body, but frame_000005.vtu" in refusal(run)

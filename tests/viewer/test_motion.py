"""The motion of a surface: what is kept of a simulation, and what is refused."""

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from support.motions import FRAMES, MESH, TIMES, bent, motion

from simlayer.mesh.mesh import MeshError
from simlayer.viewer import MotionError, surface_motion


def test_the_surface_is_that_of_the_mesh_without_the_vertices_inside():
    shown = motion()
    inside = len(MESH.vertices) - len(MESH.boundary.unique())
    assert inside > 0
    assert shown.positions.shape == (FRAMES, len(MESH.vertices) - inside, 3)
    corners = shown.positions[-1][shown.triangles]
    assert np.array_equal(corners, bent()[-1][MESH.boundary].double().numpy())
    assert np.array_equal(shown.times, TIMES.numpy())


def test_triangles_are_seen_from_outside_against_the_clock():
    shown = surface_motion(MESH, MESH.vertices[None])
    a, b, c = shown.positions[0][shown.triangles].transpose(1, 0, 2)
    # By the divergence theorem.
    volume = np.einsum("sk,sk->", a, np.cross(b, c)) / 6
    assert volume == pytest.approx(0.4 * 0.1 * 0.1, rel=1e-6)


def test_the_displacement_is_from_the_rest_shape_and_comes_first():
    shown = motion()
    assert list(shown.fields) == ["displacement [m]", "von Mises stress [Pa]"]
    rest = surface_motion(MESH, MESH.vertices[None]).positions[0]
    expected = np.linalg.norm(shown.positions - rest, axis=2)
    # In single precision, of positions of up to half a metre.
    assert shown.fields["displacement [m]"] == pytest.approx(expected, abs=1e-7)


def test_of_vectors_the_length_is_shown_and_a_constant_field_in_every_frame():
    velocities = torch.tensor([3.0, 0.0, 4.0]).expand(FRAMES, len(MESH.vertices), 3)
    shown = motion(vertex_fields={"speed [m/s]": velocities, "number": torch.arange(len(MESH.vertices))})
    assert (shown.fields["speed [m/s]"] == 5).all()
    assert (shown.fields["number"] == shown.fields["number"][0]).all()


def test_positions_with_a_gradient_are_shown():
    positions = bent().requires_grad_()
    assert surface_motion(MESH, positions).positions.shape[0] == FRAMES


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"times": torch.zeros(FRAMES)}, "times must be 6 finite, rising numbers"),
        ({"vertex_fields": {"a": torch.zeros(3)}}, "field 'a' must have shape"),
        (
            {"vertex_fields": {"a": torch.zeros(FRAMES, len(MESH.vertices), 3, 3)}},
            "must hold numbers or vectors",
        ),
        (
            {"vertex_fields": {"a": torch.full((len(MESH.vertices),), torch.nan)}},
            "a must be finite .* frame 0 of 6",
        ),
        ({"points": {"observed": torch.zeros(1, 3)}}, "must be a Recording under a name"),
        ({"name": ""}, "name must"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(
        (MotionError, MeshError, TypeError, ValueError, TypeCheckError), match=f"{message}|Type-check"
    ):
        motion(**options)


def test_a_motion_that_has_diverged_is_refused_with_its_frame():
    positions = bent()
    positions[4:, 7] = torch.inf
    with pytest.raises(
        MotionError, match=r"positions must be finite .* frame 4 of 6, at 0.4 s; show the frames"
    ):
        surface_motion(MESH, positions, times=TIMES)

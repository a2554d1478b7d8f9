"""A view is chosen by the body: its long axis lies horizontal, its widest faces face the viewer."""

import numpy as np
import pytest
import torch

from simlayer import ball_mesh, box_mesh
from simlayer.linalg.rotation import rotation_matrix
from simlayer.plotting import angle_view, body_view

AXES = np.eye(3)


def box(size, turn=None):
    vertices = box_mesh(cells=(3, 3, 3), size=size).vertices.double()
    return vertices if turn is None else vertices @ rotation_matrix(torch.tensor(turn).double()).mT


def check_orthonormal(view):
    frame = np.stack([view.right, view.up, view.towards])
    assert np.allclose(frame @ frame.T, np.eye(3), atol=1e-12)
    assert np.allclose(np.cross(view.right, view.up), view.towards)


@pytest.mark.parametrize(
    "size", [(1.0, 0.2, 0.2), (0.2, 1.0, 0.3), (0.2, 0.3, 1.0), (1.0, 0.9, 0.1), (1, 1, 1)]
)
def test_the_long_axis_is_horizontal_and_the_widest_faces_are_in_front(size):
    view = body_view(box(size))
    check_orthonormal(view)
    longest, widest = int(np.argmax(size)), int(np.argmin(size)) if len(set(size)) == 3 else 1
    across = view.project(AXES[longest])
    assert across[0] > 0.9
    assert abs(across[1]) < 1e-12
    # Seen from a corner, so that all three faces are; the widest most.
    towards = np.abs(AXES @ view.towards)
    assert towards.argmax() == widest
    assert towards.min() > 0.2
    assert np.abs(view.facing).tolist() == AXES[widest].tolist()


def test_a_beam_of_square_section_has_z_upwards():
    view = body_view(box((1.0, 0.2, 0.2)))
    assert view.project(AXES[2])[1] > 0.9


def test_a_body_that_is_turned_is_seen_along_its_own_axes():
    turn = (0.3, -0.4, 0.5)
    view = body_view(box((1.0, 0.4, 0.1), turn))
    long, _, thin = rotation_matrix(torch.tensor(turn).double()).T.numpy()
    assert abs(view.project(long)[1]) < 1e-9
    assert abs(view.facing @ thin) == pytest.approx(1.0)


def test_a_ball_and_a_body_on_the_floor_have_z_upwards_and_a_body_of_one_point_has_a_view():
    for points, upright in ((ball_mesh(3, radius=0.1).vertices, False), (box((0.2, 0.2, 1.0)), True)):
        view = body_view(points, upright=upright)
        check_orthonormal(view)
        assert view.project(AXES[2])[1] > 0.9
    check_orthonormal(body_view(torch.zeros(1, 3)))


def test_points_that_are_missing_count_for_nothing():
    points = box((1.0, 0.4, 0.1))
    more = torch.cat([points, torch.full((2, 3), torch.nan).double()])
    assert all(np.array_equal(a, b) for a, b in zip(body_view(points), body_view(more), strict=True))
    with pytest.raises(ValueError, match="points must hold at least one that is not NaN"):
        body_view(torch.full((2, 3), torch.nan))


def test_a_view_by_angles_is_from_there():
    view = angle_view(-90, 0)
    check_orthonormal(view)
    assert view.project(np.array([1.0, 5.0, 2.0])) == pytest.approx([1.0, 2.0])
    assert view.facing.tolist() == [0.0, -1.0, 0.0]
    with pytest.raises(ValueError, match="elevation must be a finite number, at least -90 and at most 90"):
        angle_view(0, 91)

"""Several frames of a motion in one picture."""

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection

from simlayer import HalfSpace, box_mesh
from simlayer.plotting import body_view, motion_picture


def motion(frames=9):
    mesh = box_mesh(cells=(2, 1, 1), size=(0.1, 0.05, 0.05))
    times = torch.linspace(0.0, 0.8, frames)
    return mesh, mesh.vertices + times[:, None, None] * torch.tensor([0.2, 0.0, 0.1]), times


@pytest.mark.parametrize(("count", "ghosts"), [(5, 4), (1, 0), (2, 1), (50, 8)])
def test_frames_are_drawn_from_first_to_last_in_the_colours_of_their_times(count, ghosts):
    mesh, frames, times = motion()
    figure = motion_picture(mesh, frames, times, count=count)
    axes, bar = figure.axes
    assert len(axes.patches) == ghosts
    assert bar.get_ylabel() == "time [ms]"
    assert bar.get_ylim() == pytest.approx((0.0, 800.0))
    marks = [line.get_ydata()[0] for line in bar.lines]
    assert len(marks) == ghosts + 1
    assert marks[-1] == pytest.approx(800.0)
    if ghosts:
        assert marks[0] == 0.0
        assert len({patch.get_facecolor()[:3] for patch in axes.patches}) == ghosts
        alphas = [patch.get_facecolor()[3] for patch in axes.patches]
        assert alphas == sorted(alphas)
        assert alphas[-1] < 0.5


def test_the_outline_of_each_frame_is_over_the_last_body_and_all_frames_are_in_the_limits():
    mesh, frames, times = motion()
    axes = motion_picture(mesh, frames, times).axes[0]
    outlines = [each for each in axes.collections if isinstance(each, LineCollection)]
    assert len(outlines) == 4
    view = body_view(mesh.vertices)
    first = np.concatenate(outlines[0].get_segments())
    assert first.max(0) == pytest.approx(view.project(frames[0].double().numpy()).max(0))
    low, high = axes.viewLim.get_points()
    places = view.project(frames.double().numpy().reshape(-1, 3))
    assert (places > low).all()
    assert (places < high).all()


@pytest.mark.unchecked
def test_a_single_frame_and_obstacles_are_drawn_and_other_numbers_of_times_refused():
    mesh, frames, times = motion()
    motion_picture(
        mesh, frames[:1], times[:1], obstacles=HalfSpace((0.0, 0.0, -0.1))
    ).draw_without_rendering()
    with pytest.raises(
        ValueError, match=r"positions must be of shape \(8, 12, 3\), got Tensor of shape \(9, 12, 3\)"
    ):
        motion_picture(mesh, frames, times[1:])

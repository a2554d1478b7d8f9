"""Held vertices that follow a path."""

import pytest
import torch
from scenes import beam, moving, noise, rest

from simlayer import RolloutModule, State, motion_controls

pytestmark = pytest.mark.usefixtures("float64")

T = 6
HELD = torch.arange(4)


def path(*batch, vertices=16):
    """A jerky path of a few centimetres that starts at rest."""
    steps = 0.01 * noise(T, *batch, vertices, 3, seed=6)
    start = rest().expand(*batch, 16, 3)[..., :vertices, :]
    return torch.cat([start[None], start + steps.cumsum(0)])


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("substeps", [1, 3])
def test_held_vertices_are_on_the_path_after_every_step(batch, substeps):
    given = path(*batch)
    rollout = RolloutModule(beam(substeps=substeps, dt=2e-3), T)
    frames = rollout.trajectory(State.at_rest(rest()), controls=motion_controls(given, rollout.step.dt))
    # Rounding of a sum of T times `substeps` parts.
    assert torch.allclose(frames.positions[..., HELD, :], given[..., HELD, :], rtol=0, atol=1e-15 * T)


def test_a_path_of_one_point_moves_all_held_vertices_alike():
    given = path(vertices=1)
    rollout = RolloutModule(beam(), T)
    end = rollout(State.at_rest(rest()), controls=motion_controls(given, rollout.step.dt))
    moved = end.positions[HELD] - rest()[HELD]
    assert torch.allclose(moved, (given[-1] - given[0]).expand(4, 3), rtol=0, atol=1e-14)


def test_the_gradient_in_a_path_equals_a_central_difference():
    rollout, weights = RolloutModule(beam(), T), noise(12, 3)

    def swing(path):
        end = rollout(moving(), controls=motion_controls(path, rollout.step.dt))
        return (end.positions[4:] * weights).sum()

    given, change, h = path(vertices=1).requires_grad_(), 0.01 * noise(T + 1, 1, 3, seed=8), 1e-3
    (gradient,) = torch.autograd.grad(swing(given), given)
    with torch.no_grad():
        expected = float(swing(given + h * change) - swing(given - h * change)) / (2 * h)
    assert abs(expected) > 1e-4
    assert float((gradient * change).sum()) == pytest.approx(expected, rel=1e-6)


def test_a_path_without_a_step_is_refused():
    with pytest.raises(ValueError, match=r"path must hold the start and at least one step, got shape \(1, "):
        motion_controls(torch.zeros(1, 16, 3), 1e-3)

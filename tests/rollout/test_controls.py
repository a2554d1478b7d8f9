"""Held vertices and obstacles that follow a path."""

import math

import pytest
import torch
from support.scenes import beam, moving, noise, rest

from simlayer import RolloutModule, State, motion_controls, obstacle_controls
from simlayer.linalg.rotation import rotation_matrix

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
def test_fixed_vertices_are_on_the_path_after_every_step(batch, substeps):
    given = path(*batch)
    rollout = RolloutModule(beam(substeps=substeps, dt=2e-3), T)
    frames = rollout.trajectory(State.at_rest(rest()), controls=motion_controls(given, rollout.step.dt))
    # Rounding of a sum of T times `substeps` parts.
    assert torch.allclose(frames.positions[..., HELD, :], given[..., HELD, :], rtol=0, atol=1e-15 * T)


def test_a_path_of_one_point_moves_all_fixed_vertices_alike():
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
    with pytest.raises(
        ValueError, match=r"path must hold the start and at least one step, .* got shape \(1, "
    ):
        motion_controls(torch.zeros(1, 16, 3), 1e-3)


def test_an_obstacle_follows_a_path_as_each_kind_of_step_looks_for_it():
    places = torch.randn(5, 3)
    explicit, implicit = (obstacle_controls(places, 0.1, explicit=e) for e in (True, False))
    place, speed = (f"forces.contact.obstacle.{name}" for name in ("translation", "velocity"))
    assert torch.equal(explicit[place], places[:-1])
    assert torch.equal(implicit[place], places[1:])
    for controls in (explicit, implicit):
        assert controls.keys() == {place, speed}
        assert torch.allclose(controls[speed], (places[1:] - places[:-1]) / 0.1)


def test_a_turning_obstacle_has_the_angular_velocity_that_leads_from_one_rotation_to_the_next():
    rotations, places = torch.randn(6, 3), torch.zeros(6, 3)
    controls = obstacle_controls(places, 0.2, explicit=True, rotations=rotations, contact="wall")
    spin = controls["forces.wall.obstacle.angular_velocity"]
    matrices = rotation_matrix(rotations)
    assert torch.allclose(rotation_matrix(0.2 * spin) @ matrices[:-1], matrices[1:], rtol=0, atol=1e-12)
    assert torch.equal(controls["forces.wall.obstacle.rotation"], rotations[:-1])


def test_an_obstacle_needs_a_path_with_a_step_and_as_many_rotations():
    with pytest.raises(ValueError, match="at least one step"):
        obstacle_controls(torch.zeros(1, 3), 0.1, explicit=True)
    with pytest.raises(ValueError, match=r"path and rotations must be .* got .*\(3, 3\).* and .*\(4, 3\)"):
        obstacle_controls(torch.zeros(3, 3), 0.1, explicit=True, rotations=torch.zeros(4, 3))


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("path", "message"),
    [
        (torch.zeros(4, 1, 3).half(), "path must be a tensor of float32 or float64"),
        (torch.zeros(4, 1, 3).to_sparse(), "path must be a plain tensor .* sparse"),
        (torch.zeros(4, 1, 3, device="meta"), "path must be a plain tensor .*meta"),
        (torch.zeros(4, 3), r"path must .*\(T \+ 1, \*batch, N, 3\), got shape \(4, 3\)"),
    ],
)
def test_what_is_no_path_of_vertices_is_refused_by_name(path, message):
    with pytest.raises((TypeError, ValueError), match=message):
        motion_controls(path, 1e-3)


def test_rotations_of_another_precision_than_the_path_are_refused():
    with pytest.raises(ValueError, match=r"path and rotations must .*float32, and .*float64"):
        obstacle_controls(torch.zeros(3, 3).float(), 0.1, explicit=True, rotations=torch.zeros(3, 3).double())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_path_that_is_not_finite_is_refused_by_step_sample_and_vertex(value):
    given = path(2)
    given[3, 1, 5, 0] = value
    with pytest.raises(ValueError, match=r"path must be finite, .* step 3, in sample \(1,\), at vertex 5"):
        motion_controls(given, 1e-3)


@pytest.mark.parametrize("name", ["path", "rotations"])
def test_the_path_of_an_obstacle_that_is_not_finite_is_refused_by_step_and_sample(name):
    given = {"path": torch.zeros(T + 1, 2, 3), "rotations": torch.zeros(T + 1, 2, 3)}
    given[name][4, 1, 2] = math.nan
    with pytest.raises(ValueError, match=rf"{name} must be finite, got nan after step 4, in sample \(1,\)"):
        obstacle_controls(given["path"], 1e-3, explicit=False, rotations=given["rotations"])


@pytest.mark.unchecked
@pytest.mark.parametrize(("first", "second"), [((2,), (3,)), ((4, 2), (3,))])
def test_rotations_of_another_batch_than_the_path_are_refused(first, second):
    with pytest.raises(ValueError, match=r"path is of a batch .* rotations are of .* do not broadcast"):
        obstacle_controls(
            torch.zeros(T + 1, *first, 3), 1e-3, explicit=True, rotations=torch.zeros(T + 1, *second, 3)
        )

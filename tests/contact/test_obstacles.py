"""Obstacles: their place, their motion, their distances in space."""

import math

import pytest
import torch
from support.obstacles import Torus
from torch import Tensor

from simlayer import Box, Capsule, Cylinder, HalfSpace, Obstacle, Sphere
from simlayer.linalg.rotation import rotation_matrix, rotation_vector
from simlayer.quantities.named import NamedTensors

pytestmark = pytest.mark.usefixtures("float64")

PLACE = {"center": (0.3, -0.2, 0.5), "rotation": (0.4, -0.3, 0.9)}
OBSTACLES = {
    "half-space": lambda: HalfSpace(PLACE["center"], (1.0, -2.0, 4.0), rotation=PLACE["rotation"]),
    "sphere": lambda: Sphere(0.4, PLACE["center"]),
    "box": lambda: Box((0.6, 1.0, 1.4), **PLACE),
    "capsule": lambda: Capsule(0.4, 1.2, **PLACE),
    "cylinder": lambda: Cylinder(0.4, 1.2, **PLACE),
}
every_obstacle = pytest.mark.parametrize("name", OBSTACLES)


def distances(obstacle: Obstacle, points: Tensor) -> Tensor:
    """To points `(K, 3)`, by its own formula."""
    names = [*obstacle.quantities(), *obstacle.derived_names()]
    values = {n: getattr(obstacle, n) for n in names}
    numbers = {n: v.unbind() if v.ndim else v for n, v in values.items()}
    with NamedTensors(obstacle).substituted(numbers):
        return obstacle.distance_from(points.unbind(-1))


@every_obstacle
def test_a_place_moves_and_turns_the_obstacle(name):
    obstacle, points = OBSTACLES[name](), torch.randn(50, 3)
    found = distances(obstacle, points)
    R = rotation_matrix(obstacle.rotation)
    own = (points - obstacle.translation) @ R  # its transpose from the left
    obstacle.translation = obstacle.rotation = (0.0, 0.0, 0.0)
    assert torch.allclose(found, distances(obstacle, own), rtol=0, atol=1e-14)


@every_obstacle
def test_the_distance_changes_no_faster_than_the_point_moves(name):
    obstacle, points = OBSTACLES[name](), torch.randn(500, 3)
    moved = points + 0.3 * torch.randn(500, 3)
    change = (distances(obstacle, moved) - distances(obstacle, points)).abs()
    assert (change <= (moved - points).norm(dim=-1) + 1e-14).all()


@every_obstacle
def test_points_that_move_with_the_surface_keep_their_distance(name):
    obstacle, points = OBSTACLES[name](), torch.randn(50, 3)
    before = distances(obstacle, points)
    obstacle.velocity, obstacle.angular_velocity = (0.5, -0.3, 0.2), (1.0, 2.0, -1.5)
    h = 1e-6
    points = points + h * obstacle.surface_velocities(points)
    turn = rotation_matrix(h * obstacle.angular_velocity) @ rotation_matrix(obstacle.rotation)
    obstacle.translation = obstacle.translation + h * obstacle.velocity
    obstacle.rotation = rotation_vector(turn)
    after = distances(obstacle, points)
    # What is left is of second order: h² w² r.
    assert torch.allclose(before, after, rtol=0, atol=1e-10)


def test_a_half_space_has_the_distance_to_its_plane():
    floor = HalfSpace((0.0, 0.0, 0.5), (0.0, 0.0, 7.0))
    points = torch.randn(20, 3)
    assert torch.allclose(distances(floor, points), points[:, 2] - 0.5, rtol=0, atol=1e-15)
    turned = HalfSpace((0.0, 0.0, 0.5), rotation=(0.0, math.pi / 2, 0.0))
    assert torch.allclose(distances(turned, points), points[:, 0], rtol=0, atol=1e-14)


def test_a_rod_can_be_laid_down():
    rod = Capsule(0.1, 2.0, rotation=(math.pi / 2, 0.0, 0.0))
    points = torch.tensor([[0.0, 0.9, 0.3], [0.0, 1.5, 0.0], [0.0, 0.0, 1.5]])
    assert torch.allclose(distances(rod, points), torch.tensor([0.2, 0.4, 1.4]), rtol=0, atol=1e-15)


def test_a_normal_without_a_direction_is_refused():
    with pytest.raises(ValueError, match=r"normal must not be zero, got \[0.0, 0.0, 0.0\]"):
        HalfSpace(normal=(0.0, 0.0, 0.0))
    obstacle = HalfSpace()
    with pytest.raises(ValueError, match=r"normal must not be zero, got \[0.0, 0.0, 0.0\] in sample \(1,\)"):
        obstacle.normal = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    assert obstacle.normal.tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    "build", [lambda: Sphere(-1.0), lambda: Box((1.0, 0.0, 1.0)), lambda: Capsule(0.1, -1.0)]
)
def test_dimensions_must_be_positive(build):
    with pytest.raises(ValueError, match="must be positive"):
        build()


def test_an_obstacle_that_a_user_writes_has_a_place_too():
    torus = Torus(1.0, 0.2, translation=(0.0, 0.0, 3.0))
    assert torch.allclose(distances(torus, torch.tensor([[1.0, 0.0, 4.0]])), torch.tensor(0.8))

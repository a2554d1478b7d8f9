"""Obstacles are drawn where they are, with surfaces at a signed distance of zero."""

import math

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from simlayer import Box, Capsule, Cylinder, HalfSpace, Obstacle, Sphere
from simlayer.plotting import angle_view
from simlayer.plotting.obstacles import draw_plane, obstacle_polygons

VIEW = angle_view(-60, 30)
FAR = np.array([[0.0, 0.0, 0.0], [-10.0, 17.0, -12.0]]) * -1  # a body in front of everything

SHAPES = {
    "sphere": lambda: Sphere(0.3, (0.1, 0.2, 0.3)),
    "box": lambda: Box((0.2, 0.4, 0.6), (0.1, 0.2, 0.3), rotation=(0.3, 0.2, 0.1)),
    "capsule": lambda: Capsule(0.1, 0.5, (0.1, 0.2, 0.3), rotation=(math.pi / 2, 0, 0)),
    "cylinder": lambda: Cylinder(0.1, 0.5, (0.1, 0.2, 0.3), rotation=(0.4, 0, 0)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_surface_of_an_obstacle_is_where_it_begins(shape, float64):
    obstacle = SHAPES[shape]()
    axes = Figure().subplots()
    triangles, edges = obstacle_polygons(axes, obstacle, VIEW, FAR)
    points = torch.from_numpy(np.concatenate([triangles.corners, edges.corners]).reshape(-1, 3))
    own = obstacle.own_coordinates(points).T
    with torch.no_grad():
        if shape == "box":
            distance = (own.abs() / (obstacle.size[:, None] / 2)).amax(0) - 1
        else:
            distance = obstacle.signed_distance((own[0], own[1], own[2]))
    # Corners are on the surface; the pole of a ball is, but for rounding.
    assert float(distance.abs().max()) < 1e-6
    normals = np.cross(
        triangles.corners[:, 1] - triangles.corners[:, 0], triangles.corners[:, 2] - triangles.corners[:, 0]
    )
    assert (normals @ VIEW.towards > 0).all()


def test_the_triangles_of_a_ball_that_face_the_viewer_cover_a_disc(float64):
    triangles, _ = obstacle_polygons(Figure().subplots(), Sphere(0.5), VIEW, FAR)
    a, b, c = (VIEW.project(corner) for corner in triangles.corners.transpose(1, 0, 2))
    u, v = b - a, c - a
    area = 0.5 * (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]).sum()
    # Of a polyhedron within the ball.
    assert 0.97 < area / (math.pi * 0.25) < 1.0


def test_what_stands_before_the_body_does_not_hide_it():
    body = np.zeros((4, 3)) - 5 * VIEW.towards
    axes = Figure().subplots()
    assert obstacle_polygons(axes, Sphere(0.5), VIEW, body) == []
    (shadow,) = axes.patches
    assert shadow.get_facecolor()[3] < 0.5
    assert shadow.get_zorder() > 1  # over the body
    axes = Figure().subplots()
    assert obstacle_polygons(axes, Sphere(0.5), VIEW, -body)
    assert not axes.patches


class Cone(Obstacle):
    """A shape that pictures do not know."""

    def signed_distance(self, point):
        return point[2] + (point[0].square() + point[1].square()).sqrt()


def test_a_shape_of_ones_own_is_left_out():
    assert obstacle_polygons(Figure().subplots(), Cone(), VIEW, FAR) == []


@pytest.mark.parametrize(("elevation", "behind"), [(30, True), (-30, False)])
def test_a_plane_is_behind_the_body_seen_from_above_and_translucent_before_it_seen_from_below(
    elevation, behind, float64
):
    axes = Figure().subplots()
    body = torch.rand(20, 3).numpy() + np.array([0.0, 0.0, 0.1])
    corners = draw_plane(axes, HalfSpace((0.0, 0.0, -0.2)), angle_view(-60, elevation), body)
    assert np.allclose(corners[:, 2], -0.2)
    low, high = corners.min(0), corners.max(0)
    assert (low[:2] < body.min(0)[:2]).all()
    assert (high[:2] > body.max(0)[:2]).all()
    square, lines = axes.collections
    assert (square.get_zorder() < 1) == behind
    assert square.get_facecolor()[0, 3] < 0.5
    assert len(lines.get_segments()) == 18

"""From where a body is looked at."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from simlayer.plotting.arrays import as_array
from simlayer.quantities.arguments import checked_flag, checked_number

# How much longer a long axis is than another one, in standard deviations, and the cosine of the angle to x, y
# or z from which on that one is taken.
_LONGER, _NEAR = 1.15, 0.95
# How far the viewer stands above the widest faces, and towards the end of the long axis, for one step back.
_ABOVE, _ASIDE = 0.36, 0.30

Direction = Float[np.ndarray, "3"]


class View(NamedTuple):
    """A parallel projection onto paper.

    Attributes:
        right, up: the unit vectors in space that lie along the edges of the paper.
        towards: the unit vector from the body to the viewer.
        facing: the normal of the faces that the viewer stands in front of, to which a cut is parallel.
    """

    right: Direction
    up: Direction
    towards: Direction
    facing: Direction

    def project(self, points: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 2"]:
        """Return the places of points on paper [m]."""
        return points @ np.stack([self.right, self.up], 1)


def angle_view(azimuth: float, elevation: float) -> View:
    """Return the view from a direction, with z upwards on paper.

    Args:
        azimuth: the angle of the viewer about z, from x towards y [degrees].
        elevation: the angle of the viewer above the xy-plane, within 90 [degrees].
    """
    azimuth = math.radians(checked_number("azimuth", azimuth))
    elevation = math.radians(checked_number("elevation", elevation, least=-90, most=90))
    right = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    level = np.array([math.cos(azimuth), math.sin(azimuth), 0.0])
    towards = level * math.cos(elevation) + np.array([0.0, 0.0, math.sin(elevation)])
    facing = np.zeros(3)
    strongest = int(np.abs(towards).argmax())
    facing[strongest] = np.sign(towards[strongest])
    return View(right, np.cross(towards, right), towards, facing)


def body_view(points: Any, *, upright: bool = False) -> View:
    """Return a view of a body: its long axis lies horizontal, its widest faces face the viewer.

    Axes of the body that are near to x, y or z are taken to be along them. A body of about the same size in
    all directions is seen with x to the right and z upwards.

    Args:
        points: places in the body, such as its vertices `(N, 3)` [m].
        upright: whether z is upwards whatever the shape, as where something lies on the floor.
    """
    array = as_array("points", points, None, 3)
    array = array[np.isfinite(array).all(1)]
    if not len(array):
        raise ValueError("points must hold at least one that is not NaN, got none.")
    along, middle = _upright(array) if checked_flag("upright", upright) else _lying(array)
    facing = np.cross(along, middle)
    towards = facing + _ABOVE * middle + _ASIDE * along
    towards /= np.linalg.norm(towards)
    # What lies along the paper is the long axis as it is seen: the picture of a straight beam shall not sag.
    right = along - (along @ towards) * towards
    right /= np.linalg.norm(right)
    return View(right, np.cross(towards, right), towards, facing)


def _lying(points: Float[np.ndarray, "N 3"]) -> tuple[Direction, Direction]:
    """Return the long axis of a body, and the one across it that is not the thinnest."""
    longest, _, thinnest = axes = _principal_axes(points)
    sizes = _spread(points, axes)
    is_long, is_thin = sizes[0] > _LONGER * sizes[1], sizes[1] > _LONGER * sizes[2]
    x, y, z = np.eye(3)
    if is_long and is_thin:
        return longest, _positive(np.cross(thinnest, longest))
    if is_long:
        return longest, _across(z if abs(longest @ z) < _NEAR else y, longest)
    if is_thin:
        along = _across(x if abs(thinnest @ x) < _NEAR else y, thinnest)
        return along, _positive(np.cross(thinnest, along))
    return x, z


def _upright(points: Float[np.ndarray, "N 3"]) -> tuple[Direction, Direction]:
    """Return the longest horizontal axis of a body, and z."""
    level = points * np.array([1.0, 1.0, 0.0])
    longest, *_ = axes = _principal_axes(level)
    sizes = _spread(level, axes)
    return (longest if sizes[0] > _LONGER * sizes[1] else np.eye(3)[0]), np.eye(3)[2]


def _principal_axes(points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "3 3"]:
    """Return the principal axes of points in rows, the longest first, along x, y or z where they are near."""
    centred = points - points.mean(0)
    axes = np.linalg.eigh(centred.T @ centred)[1].T[::-1]
    return np.stack([_positive(axis) for axis in axes])


def _spread(points: Float[np.ndarray, "N 3"], axes: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3"]:
    return (points @ axes.T).std(0)


def _positive(axis: Direction) -> Direction:
    """Return an axis with its largest component positive; along x, y or z if it is near to one of them."""
    strongest = int(np.abs(axis).argmax())
    axis = axis * np.sign(axis[strongest])
    return np.eye(3)[strongest] if axis[strongest] > _NEAR else axis


def _across(wanted: Direction, axis: Direction) -> Direction:
    """Return the unit vector across an axis that is nearest to a wanted one."""
    part = wanted - (wanted @ axis) * axis
    return part / np.linalg.norm(part)

"""Signed distances of points to simple solids, in the solids' own coordinates; negative inside.

Written for scalars, one per coordinate. Outside of a convex solid the normal is continuous; its derivatives
are finite everywhere outside, on the planes and axes included where the formula changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

import torch
from torch import Tensor


def length(*components: Tensor) -> Tensor:
    """Return the length of a vector, whose derivatives at zero are zero."""
    # By its largest component, so that no square is too small for a number: the derivatives are those of
    # the fraction, of degree zero in the scale, which therefore counts as constant.
    scale = reduce(torch.maximum, [component.detach().abs() for component in components])
    nonzero = scale > 0
    safe = torch.where(nonzero, scale, 1.0)
    first, *others = [(component / safe) ** 2 for component in components]
    return scale * torch.where(nonzero, sum(others, first), 1.0).sqrt()


def beyond(*excesses: Tensor) -> Tensor:
    """Return the distance to a product of intervals from how far a point lies beyond each of them.

    Inside all of them it is minus the distance to the nearest end.
    """
    # Not `torch.maximum`, whose derivative works in place, which graphs of derivatives should not.
    largest = reduce(lambda a, b: torch.where(a > b, a, b), excesses)
    outside = length(*(excess.clamp(min=0.0) for excess in excesses))
    return torch.where(largest > 0, outside, largest)


def box(x: Tensor, y: Tensor, z: Tensor, size: Iterable[Tensor]) -> Tensor:
    """Return the distance to a box around the origin with sides along the axes."""
    return beyond(*(c.abs() - 0.5 * side for c, side in zip((x, y, z), size, strict=True)))


def capsule(x: Tensor, y: Tensor, z: Tensor, radius: Tensor, height: Tensor) -> Tensor:
    """Return the distance to the points within a radius of a line along z around the origin."""
    return length(x, y, (z.abs() - 0.5 * height).clamp(min=0.0)) - radius


def cylinder(x: Tensor, y: Tensor, z: Tensor, radius: Tensor, height: Tensor) -> Tensor:
    """Return the distance to a cylinder along z around the origin."""
    return beyond(length(x, y) - radius, z.abs() - 0.5 * height)

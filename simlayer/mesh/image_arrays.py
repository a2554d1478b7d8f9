"""The grid of an image file and its arrays, before one of them is taken for labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class ImageArray(NamedTuple):
    """An array of an image, read when it is needed.

    Attributes:
        of_cells: whether its values are those of voxels; else of points, which voxels have in their middle.
        is_whole: whether it has one whole number for each.
    """

    name: str
    of_cells: bool
    is_whole: bool
    values: Callable[[], np.ndarray]


class ImageGrid(NamedTuple):
    """The points of an image along x, y and z, and its arrays, in units of the file."""

    points: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    arrays: list[ImageArray]

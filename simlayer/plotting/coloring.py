"""Fields as colours: one value per cell or per vertex, on the outside of a body or on a cut."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LogNorm, Normalize

from simlayer.mesh.faces import boundary_and_owners
from simlayer.mesh.mesh import Mesh
from simlayer.plotting.arrays import as_array
from simlayer.plotting.surface import Colors, Surface
from simlayer.plotting.view import View
from simlayer.quantities.arguments import checked_choice
from simlayer.quantities.objects import checked_instance

# A field that spans more than this factor is drawn on a logarithmic scale.
_DECADES = 20.0
_MISSING = (0.8, 0.8, 0.8, 1.0)


class Part(NamedTuple):
    """What is drawn of a body: its surface, or that of the half behind a cut.

    Attributes:
        surface: its triangles.
        owners: the cell of each.
    """

    surface: Surface
    owners: Any

    def over_triangles(self, field: Float[np.ndarray, "_"], over: str) -> Float[np.ndarray, "S"]:
        """Return the value of a field on each triangle."""
        return field[self.owners] if over == "cells" else field[self.surface.triangles].mean(1)


def body_part(mesh: Mesh, positions: Float[np.ndarray, "N 3"], view: View, *, cut: bool) -> Part:
    """Return the surface of a body, or that of its cells behind the middle of its rest shape."""
    cells, vertices = mesh.cells.cpu(), mesh.vertices.detach().cpu().double()
    kept = torch.arange(len(cells))
    if cut:
        middles = (vertices[cells].mean(1) @ torch.from_numpy(view.facing.copy())).numpy()
        low, high = middles.min(), middles.max()
        kept = kept[torch.from_numpy(middles <= (low + high) / 2 + 1e-9 * (high - low))]
    triangles, owners = boundary_and_owners(cells[kept], len(vertices))
    return Part(Surface(positions, triangles.numpy()), kept[owners].numpy())


def checked_mesh_field(
    mesh: Mesh, field: Any, over: str = "auto", *, name: str = "field"
) -> tuple[Float[np.ndarray, "_"], str]:
    """Return a field as an array, and whether it is over the "cells" or the "vertices".

    Raises:
        ValueError: if it has another length, or the mesh has as many cells as vertices and `over` is "auto".
    """
    checked_instance("mesh", mesh, Mesh)
    counts = {"vertices": len(mesh.vertices), "cells": len(mesh.cells)}
    checked_choice("over", over, ("auto", *counts))
    array = as_array(name, field, None)
    fitting = [name for name, count in counts.items() if count == len(array) and over in ("auto", name)]
    if not fitting:
        wanted = counts if over == "auto" else {over: counts[over]}
        each = " or ".join(f"{number} {name}" for name, number in wanted.items())
        raise ValueError(f"{name} must have a value for each of {each}, got shape {tuple(array.shape)}.")
    if len(fitting) == 2:
        raise ValueError(
            f'{name} fits the {len(array)} vertices and the {len(array)} cells, got over="auto"; say '
            'over="cells" or over="vertices".'
        )
    return array, fitting[0]


def common_scale(*fields: Float[np.ndarray, "_"], zero: bool = False) -> Normalize:
    """Return a scale of colours for several fields: from 0 on if asked for, logarithmic over a wide range."""
    present = np.concatenate([field[np.isfinite(field)].ravel() for field in fields])
    if not len(present):
        return Normalize(0.0, 1.0)
    low, high = float(present.min()), float(present.max())
    if zero:
        return Normalize(min(low, 0.0), high if high > 0 else 1.0)
    if low > 0 and high > _DECADES * low:
        return LogNorm(low, high)
    if high - low <= 1e-6 * max(abs(low), abs(high)):  # but for rounding the same everywhere
        room = 0.05 * abs(high) or 1.0
        return Normalize(low - room, high + room)
    return Normalize(low, high)


def colors_of(values: Float[np.ndarray, "S"], scale: Any, colors: Colormap) -> Colors:
    """Return the colours of values, grey where one is missing."""
    found = np.asarray(colors(scale(np.nan_to_num(values, nan=scale.vmin or 0.0))))
    found[~np.isfinite(values)] = _MISSING
    return found


def mappable(scale: Normalize, colors: str | Colormap) -> ScalarMappable:
    """Return what a colour bar is drawn from."""
    return ScalarMappable(scale, colormaps[colors] if isinstance(colors, str) else colors)

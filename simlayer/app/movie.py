"""Movies of a motion."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.animation import FFMpegWriter
from matplotlib.figure import Figure
from torch import Tensor

from simlayer.app.plots import COLORS, draw_surface
from simlayer.mesh.mesh import Mesh


def write_movie(
    path: Path, mesh: Mesh, positions: Float[Tensor, "T N 3"], *, frames_per_second: int = 20
) -> None:
    """Draw frames of a motion as an MP4, coloured by the distance from the rest shape.

    Without the extra `movie` (imageio-ffmpeg, which includes ffmpeg) nothing is written.
    """
    try:
        import imageio_ffmpeg
    except ImportError:
        return
    boundary = mesh.boundary.cpu()
    moved = (positions - mesh.vertices).norm(dim=-1).cpu()
    largest = float(moved.max()) or 1.0
    figure = Figure(figsize=(6.4, 4.8), dpi=100)
    axis = figure.add_axes((0, 0, 1, 1))
    writer = FFMpegWriter(fps=frames_per_second, codec="libx264", extra_args=["-pix_fmt", "yuv420p"])
    with (
        matplotlib.rc_context({"animation.ffmpeg_path": imageio_ffmpeg.get_ffmpeg_exe()}),
        writer.saving(figure, str(path), dpi=100),
    ):
        limits = None
        for frame, distances in zip(positions.cpu(), moved, strict=True):
            axis.clear()
            colors = COLORS(np.asarray(distances[boundary].mean(1) / largest))
            draw_surface(axis, frame[boundary].numpy(), colors)
            limits = limits or _around(axis.get_xlim(), axis.get_ylim())
            axis.set(xlim=limits[0], ylim=limits[1])
            writer.grab_frame()


def _around(*limits: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    """Return limits with room for a body to move: half of its larger extent on each side."""
    room = max(high - low for low, high in limits) / 2
    return tuple((low - room, high + room) for low, high in limits)

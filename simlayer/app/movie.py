"""Movies of a motion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from jaxtyping import Float
from matplotlib.animation import FFMpegWriter
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from simlayer.mesh.mesh import Mesh
from simlayer.plotting import draw_body, motion_picture


def write_motion(
    folder: Path, mesh: Mesh, positions: Float[Tensor, "T N 3"], times: Float[Tensor, "T"], **beside: Any
) -> None:
    """Draw a motion of more than two frames as one picture, motion.png, and any as a movie, motion.mp4."""
    if len(times) > 2:  # else a state of rest
        motion_picture(mesh, positions, times, **beside).savefig(folder / "motion.png", dpi=150)
    write_movie(folder / "motion.mp4", mesh, positions, **beside)


def write_movie(
    path: Path,
    mesh: Mesh,
    positions: Float[Tensor, "T N 3"],
    *,
    frames_per_second: int = 20,
    **beside: Any,
) -> None:
    """Draw frames of a motion as an MP4, coloured by the distance from the rest shape.

    What is `beside` the body is drawn as by `draw_body`.

    Without the extra `movie` (imageio-ffmpeg, which includes ffmpeg) nothing is written.
    """
    try:
        import imageio_ffmpeg
    except ImportError:
        return
    moved = (positions - mesh.vertices).norm(dim=-1).cpu()
    scale = Normalize(0.0, float(moved.max()) or 1.0)
    figure = Figure(figsize=(6.4, 4.8), dpi=100)
    axis = figure.add_axes((0, 0, 1, 1))
    writer = FFMpegWriter(fps=frames_per_second, codec="libx264", extra_args=["-pix_fmt", "yuv420p"])
    with (
        matplotlib.rc_context({"animation.ffmpeg_path": imageio_ffmpeg.get_ffmpeg_exe()}),
        writer.saving(figure, str(path), dpi=100),
    ):
        for frame, distances in zip(positions, moved, strict=True):
            axis.clear()
            shade = {"field": distances, "over": "vertices", "scale": scale, "around": positions}
            draw_body(axis, mesh, frame, rest=False, **shade, **beside)
            writer.grab_frame()

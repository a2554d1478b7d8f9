"""Calls that show motions."""

from __future__ import annotations

import math
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from fuzz import scenes
from fuzz.calls import Argument, instance, made, shaped, tensor, text, truth
from fuzz.kinds import File, Instance, Named, Numbers
from fuzz.scenes import VERTICES
from fuzz.table_bodies import FILES, a_mesh, any_frames

from simlayer import write_frames
from simlayer.motion_capture import Recording
from simlayer.viewer import SurfaceMotion, read_motion, surface_motion, write_html


@cache
def _run() -> Path:
    """The list of frames of a motion."""
    return write_frames(Path(tempfile.mkdtemp()) / "motion.pvd", scenes.mesh(), scenes.positions()[None])


def _motion() -> SurfaceMotion:
    return surface_motion(scenes.mesh(), scenes.positions()[None])


def _page(**arguments: Any) -> Any:
    """Write a page to a folder of its own, and return how long it is."""
    path = arguments.pop("path")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / path if isinstance(path, str) and path else path
        return write_html(path, arguments.pop("motion"), **arguments).stat().st_size


def _numbers_or_vectors(shape: tuple[int, ...]) -> bool:
    rest = shape[2:] if shape[:2] == (2, VERTICES) else shape[1:] if shape[:1] == (VERTICES,) else (2,)
    return math.prod(rest) in (1, 3)


_fields = Argument(
    Named(Numbers(_numbers_or_vectors, form="tensor"), free=True),
    lambda: {"heat": torch.arange(float(VERTICES))},
    ("heat", "field"),
)
_points = Argument(Named(Instance((Recording,)), free=True), lambda: {"observed": scenes.recording()})

CALLS = [
    *made(
        "surface_motion",
        surface_motion,
        mesh=a_mesh,
        positions=tensor(lambda: torch.stack([scenes.positions()] * 2), any_frames),
        times=tensor(lambda: torch.tensor([0.0, 0.1]), shaped((2,)), rising=True, words=(None,)),
        vertex_fields=_fields,
        points=_points,
        name=text("motion"),
    ),
    *made(
        "read_motion",
        read_motion,
        path=Argument(
            File(lambda path: bool(path) and os.path.realpath(path) == str(_run())), lambda: str(_run())
        ).called(*FILES, "run", ".pvd"),
    ),
    *made(
        "write_html",
        _page,
        path=Argument(File(bool), lambda: "motion.html").called(*FILES),
        motion=instance(_motion, SurfaceMotion, str, os.PathLike).called("motions", "exist", "run"),
        overlaid=truth(True),
    ),
]

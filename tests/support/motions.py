"""Motions to look at: a box that is bent and twisted, with fields and points."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from simlayer.mesh.paraview import write_frames
from simlayer.mesh.primitives import box_mesh
from simlayer.motion_capture.recording import Recording
from simlayer.viewer.motion import SurfaceMotion, surface_motion
from simlayer.viewer.run_folder import write_points

FRAMES = 6
MESH = box_mesh(size=(0.4, 0.1, 0.1), cells=(8, 2, 2))
TIMES = torch.linspace(0.0, 0.5, FRAMES, dtype=torch.float64)


def bent() -> torch.Tensor:
    """Positions in which the far end goes up more and more."""
    positions = MESH.vertices.repeat(FRAMES, 1, 1)
    positions[..., 2] += TIMES.to(positions)[:, None] * positions[..., 0].square() * 2
    return positions


def markers() -> dict[str, Recording]:
    """Two markers over the far end, one of them with a gap, at other times than those of the frames."""
    places = torch.tensor([[0.4, 0.0, 0.2], [0.4, 0.1, 0.2]], dtype=torch.float32).repeat(4, 1, 1)
    places[2, 0] = torch.nan
    return {"observed": Recording(torch.linspace(0.0, 0.45, 4), places)}


def motion(name: str = "bent", **options: Any) -> SurfaceMotion:
    stress = 1e4 * (1 + MESH.vertices[:, 1] / 0.1).repeat(FRAMES, 1)
    given = {"times": TIMES, "vertex_fields": {"von Mises stress [Pa]": stress}, "points": markers()}
    return surface_motion(MESH, bent(), name=name, **{**given, **options})


def run_folder(folder: Path, **options: Any) -> Path:
    """Write the files of a run that its motion is read from."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text("task: identification\n")
    fields = {"displacement [m]": bent() - MESH.vertices, **options.pop("vertex_fields", {})}
    write_frames(folder / "motion.pvd", MESH, bent(), times=TIMES, vertex_fields=fields, **options)
    write_points(folder / "points.npz", markers())
    return folder


def scene_of(page: str) -> tuple[dict[str, Any], bytes]:
    """Return what a page says of its motions, and their arrays."""
    scene, data = (
        re.search(f'<script type="[a-z/]+" id="{name}">(.*?)</script>', page, re.DOTALL)[1]
        for name in ("scene", "data")
    )
    return json.loads(scene), zlib.decompress(base64.b64decode(data))


def unpacked(content: bytes, at: int, shape: tuple[int, ...], size: int) -> np.ndarray:
    """Return numbers of `size` bytes, written as their differences from frame to frame in planes of bytes."""
    count = int(np.prod(shape))
    planes = np.frombuffer(content, np.uint8, size * count, at).reshape(size, count).astype(np.int64)
    changes = sum(plane << (8 * k) for k, plane in enumerate(planes)).reshape(shape)
    return changes.cumsum(0) % 256**size

"""Motions as one page of HTML, with the arrays, the scripts that unpack them, and k3d, which draws them."""

from __future__ import annotations

import functools
import html
import importlib.metadata
import importlib.util
import json
import os
import string
import tempfile
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simlayer.quantities.arguments import checked_flag
from simlayer.quantities.arrays import described
from simlayer.quantities.objects import checked_path
from simlayer.viewer.motion import MotionError, SurfaceMotion
from simlayer.viewer.packing import Packed, as_text, field_ranges, pack_motion
from simlayer.viewer.run_folder import read_motion

_ASSETS = Path(__file__).parent / "assets"
_SCRIPTS = ("unpack.js", "bodies.js", "controls.js", "page.js")

Motion = SurfaceMotion | str | os.PathLike[str]


def view(*motions: Motion, overlaid: bool = False) -> Path:
    """Show motions, or those of runs' folders, in the browser; return the path of the page.

    Args:
        motions: side by side, in this order; a path is read by `read_motion`.
        overlaid: whether they begin in the same place.

    Raises:
        ModuleNotFoundError: without the extra `viewer`.
        MotionError: as `read_motion` does, or without a motion.
    """
    folder = Path(tempfile.mkdtemp(prefix="simlayer-view-"))
    page = write_html(folder / "motion.html", *motions, overlaid=overlaid)
    webbrowser.open(page.as_uri())
    return page


def write_html(path: str | os.PathLike[str], *motions: Motion, overlaid: bool = False) -> Path:
    """Write a page that shows motions as `view` does, without a network; return its path.

    Raises:
        ModuleNotFoundError: without the extra `viewer`.
        MotionError: as `read_motion` does, or without a motion.
    """
    path, overlaid = checked_path("path", path), checked_flag("overlaid", overlaid)
    if path.is_dir():
        raise MotionError(f"{path} is a folder; name the file in it, such as {path / 'motion.html'}.")
    shown = [_motion(f"motions[{index}]", motion) for index, motion in enumerate(motions)]
    page = page_of(shown, overlaid=overlaid)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def page_of(motions: Sequence[SurfaceMotion], *, overlaid: bool = False) -> str:
    """Return the HTML of a page that shows motions."""
    if not motions:
        raise MotionError("there must be at least one motion to show, got none.")
    renderer, notice = _renderer()
    packed, ranges = Packed(), field_ranges(motions)
    scene = {
        "motions": [pack_motion(packed, motion, ranges) for motion in motions],
        "fields": ranges,
        "start": min(float(motion.times[0]) for motion in motions),
        "end": max(float(motion.times[-1]) for motion in motions),
        "overlaid": overlaid,
        **_colors(),
    }
    names = ", ".join(motion.name for motion in motions)
    return string.Template((_ASSETS / "page.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(names, quote=False),
        style=(_ASSETS / "page.css").read_text(encoding="utf-8"),
        # Escaped, so that no name can close the script element.
        scene=json.dumps(scene).replace("<", "\\u003c"),
        data=packed.text(),
        renderer=renderer,
        notice=html.escape(notice, quote=False),
        script="\n".join((_ASSETS / name).read_text(encoding="utf-8") for name in _SCRIPTS),
    )


def _motion(name: str, motion: Any) -> SurfaceMotion:
    if isinstance(motion, SurfaceMotion):
        return motion
    if isinstance(motion, (str, os.PathLike)):
        return read_motion(checked_path(name, motion))
    raise TypeError(
        f"{name} must be the folder of a run or a motion, such as surface_motion(mesh, frames.positions), "
        f"got {described(motion)}."
    )


def _renderer() -> tuple[str, str]:
    """Return the compressed JavaScript of k3d, and its licences.

    Its files are read without importing k3d, which would import Jupyter.
    """
    found = importlib.util.find_spec("k3d")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("the viewer needs k3d: pip install 'simlayer[viewer]'", name="k3d")
    script = Path(found.origin).parent / "static" / "standalone.js"
    own = importlib.metadata.distribution("k3d").read_text("licenses/LICENSE.txt")
    included = script.with_name("standalone.js.LICENSE.txt").read_text(encoding="utf-8")
    return _compressed(script), f"This page is drawn by K3D-jupyter:\n{own}\nwhich includes:\n{included}"


@functools.cache
def _compressed(path: Path) -> str:
    return as_text(path.read_bytes())


def _colors() -> dict[str, Any]:
    """Return the colour map of fields, as k3d has it, and the colours of bodies without one."""
    import matplotlib  # takes long to import

    places = [k / 16 for k in range(17)]
    viridis, tab10 = matplotlib.colormaps["viridis"], matplotlib.colormaps["tab10"]
    colors = [part for at in places for part in (at, *viridis(at)[:3])]
    return {"colors": [round(part, 4) for part in colors], "plain": [list(tab10(k)[:3]) for k in range(10)]}

"""The command `simlayer-view`, which shows the motions of runs in a browser."""

from __future__ import annotations

import argparse
import sys
import threading
import warnings
import webbrowser
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from simlayer.viewer.motion import SurfaceMotion
from simlayer.viewer.page import page_of
from simlayer.viewer.run_folder import read_motion
from simlayer.viewer.server import PageServer

_EPILOG = """examples:
  simlayer-view outputs/run                       one run: play, scrub, turn, colour by a field
  simlayer-view outputs/run outputs/other         two runs side by side; --overlaid: in one place
  simlayer-view outputs/run --html motion.html    one file that any browser opens, without a network
  simlayer-view motion.pvd                        frames that simlayer.write_frames has written

in the browser: space plays, arrow keys go frame by frame, drag turns, right drag moves, the wheel zooms."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Show the motions that the command line names until Ctrl-C; exit with status 1 on a user's error."""
    options = _parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = _show_warning
            motions = _distinct([read_motion(path) for path in options.runs])
        page = page_of(motions, overlaid=options.overlaid)
        for motion in motions:
            print(_described(motion))
        if options.html is not None:
            options.html.parent.mkdir(parents=True, exist_ok=True)
            options.html.write_text(page, encoding="utf-8")
            print(f"Written to {options.html}, {len(page) / 1e6:.1f} MB")
            return
        server = PageServer(page, options.port)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"simlayer-view: {error}", file=sys.stderr)
        raise SystemExit(1) from error
    _serve(server, browser=not options.no_browser)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="simlayer-view",
        description="Show the motions that simlayer-train has written in a browser.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run, or a .pvd")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the page to a file and exit")
    parser.add_argument("--overlaid", action="store_true", help="begin with all runs in one place")
    parser.add_argument("--port", type=int, default=0, help="port of the address; by default any free one")
    parser.add_argument("--no-browser", action="store_true", help="print the address only")
    return parser


def _distinct(motions: list[SurfaceMotion]) -> list[SurfaceMotion]:
    """Number motions whose folders have the same name."""
    names = [motion.name for motion in motions]
    return [
        replace(motion, name=f"{motion.name} ({index})") if names.count(motion.name) > 1 else motion
        for index, motion in enumerate(motions, 1)
    ]


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"simlayer-view: {message}", file=sys.stderr)


def _described(motion: SurfaceMotion) -> str:
    count, vertices = motion.positions.shape[:2]
    line = f"{motion.name}: {count} frames of {vertices} vertices, {motion.times[-1] - motion.times[0]:.3g} s"
    parts = [*motion.fields, *(f"{name} points" for name in motion.points)]
    return f"{line}; {', '.join(parts)}"


def _serve(server: PageServer, *, browser: bool) -> None:
    print(f"{server.address} shows them until Ctrl-C", flush=True)
    if browser:
        # With a browser in the terminal this call blocks until the user quits it; the page must be served.
        threading.Thread(target=webbrowser.open, args=(server.address,), daemon=True).start()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()

"""report.html: a whole run on one page that any browser shows without a network."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from simlayer.app.report import format_found
from simlayer.app.run_folder import CONFIG, VERSIONS, write_whole
from simlayer.identification.measured_values import format_change
from simlayer.identification.unknowns import format_value

REPORT = "report.html"

# The most bytes of pictures and movies that are embedded in the page; further files are linked.
EMBEDDED = 3_500_000

# Captions of pictures by their names; other pictures are called by these.
CAPTIONS = {
    "found_over_target": "The body found, over the target",
    "stress": "Von Mises stress of the body found, where it is largest",
    "learned": "What was learned",
    "motion": "The motion that was found, some of its frames in one picture",
    "curves": "Curves of the tests, and the law found",
    "gradient_health": "Size of gradients on their way back through the rollout",
    "energies_and_reactions": "Energies and reactions over time",
    "convergence": "Loss and unknowns over the course of the fit",
    "uncertainty": "Uncertainty: confidence regions of the unknowns",
}

# Pictures of what was simulated over what was observed come first, those of LAST, in this order, at the end.
OVER, LAST = "found_over_", ("energies_and_reactions", "convergence", "uncertainty")


def write_report(
    folder: Path,
    *,
    description: Sequence[tuple[str, str]],
    results: Mapping[str, Any],
    summary: str,
    command: str,
) -> None:
    """Write the report of a run whose other files are in its folder.

    Args:
        folder: the folder of the run.
        description: what was done: labels and texts.
        results: the results of the run.
        summary: the table that the run prints.
        command: the command that repeats the run.
    """
    environment = Environment(
        loader=PackageLoader("simlayer.app"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    room = _Room(EMBEDDED)
    pictures = [
        {"caption": caption, "source": room.source(path), "name": path.name}
        for path, caption in captions(folder)
    ]
    movie = folder / "motion.mp4"
    text = environment.get_template("report.html").render(
        title=folder.name,
        ending=_ending(results),
        parameters=parameter_table(results["parameters"]),
        warnings=results.get("uncertainty", {}).get("undetermined", ()),
        notes=_notes(summary, results["parameters"]),
        description=description,
        pictures=pictures,
        movie=room.source(movie) if movie.exists() else None,
        command=command,
        configuration=(folder / CONFIG).read_text(encoding="utf-8"),
        versions=json.loads((folder / VERSIONS).read_bytes()),
        files=_files(folder),
    )
    write_whole(folder / REPORT, text)


def parameter_table(parameters: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return a row of texts by column for each parameter, with the same columns in all rows."""
    known = any(row["reference"] is not None for row in parameters.values())
    refined = any("discretization" in row for row in parameters.values())
    table = []
    for name, row in parameters.items():
        unit = f" {row['unit']}" if row["unit"] not in ("", "1") else ""
        many = f", mean of {row['values']}" if "values" in row else ""
        cells = {"Parameter": name, "Found": f"{format_found(row, unit)}{many}"}
        if known:
            reference, error = row["reference"], row["relative_error"]
            cells["True value"] = "" if reference is None else f"{format_value(reference)}{unit}"
            cells["Error"] = "" if error is None else f"{error:.2%}"
        cells["First guess"] = f"{format_value(row['initial'])}{unit}"
        if refined:
            changes = row.get("discretization", {}).items()
            cells["With finer"] = ", ".join(
                f"{part} {format_change(by, row['unit'])}" for part, by in changes
            )
        table.append(cells)
    return table


def _notes(summary: str, parameters: Iterable[str]) -> str:
    """Return the lines of a summary that the table of parameters does not contain."""
    told = ("NOT DETERMINED", *(f"{name}:" for name in parameters))
    return "\n".join(line for line in summary.splitlines() if not line.startswith(told))


def captions(folder: Path) -> list[tuple[Path, str]]:
    """Return the pictures of a run with their captions, the most important first."""
    return [(path, _caption(path.stem)) for path in sorted(folder.glob("*.png"), key=_place)]


def _place(path: Path) -> tuple[int, str]:
    """Return what pictures are sorted by."""
    name = path.stem
    if name.startswith(OVER):
        return (0 if name in CAPTIONS else 1), name
    return (3 + LAST.index(name) if name in LAST else 2), name


def _caption(name: str) -> str:
    rest = name.removeprefix(OVER).replace("_", " ")
    return CAPTIONS.get(name, f"Simulated over {rest}" if name.startswith(OVER) else rest)


class _Room:
    """Embeds files in a page until a number of bytes is used up."""

    def __init__(self, size: int) -> None:
        self._left = size

    def source(self, path: Path) -> str:
        """Return a URL for a page: the content of the file, or its name if there is no room left."""
        size = path.stat().st_size
        if size > self._left:
            return path.name
        self._left -= size
        kind = {".png": "image/png", ".mp4": "video/mp4"}[path.suffix]
        return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _ending(results: Mapping[str, Any]) -> str:
    """Format how a run has ended, and after how long."""
    parts = [f"Ended: {results['ended']}"]
    if "seconds" in results:
        parts.append(f"{results['seconds']:g} s")
    for key in ("epochs", "steps"):
        if key in results:
            parts.append(f"{results[key]} {key}")
    return ", ".join(parts) + "."


def _files(folder: Path) -> list[dict[str, str]]:
    """Return the names of the files and folders of a run, files with their sizes."""
    listed = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == REPORT:
            continue
        size = "" if path.is_dir() else f"{path.stat().st_size / 1e3:,.0f} kB"
        listed.append({"name": path.name, "size": size})
    return listed

"""Records how every run of a multirun ends, and shows all of them in a table and a picture."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from simlayer.app.report import format_found
from simlayer.app.run_folder import write_whole
from simlayer.app.sweep_picture import sweep_picture
from simlayer.errors import ConfigError
from simlayer.plotting.units import label

RUNS = "runs"
INTERRUPTED = "interrupted"


class SweepRun(NamedTuple):
    """One run of a multirun.

    Attributes:
        number: its number, and the name of its folder.
        overrides: the overrides of the configuration that it was given.
        error: why it has failed; None if it has not.
        results: the content of its results.json; empty if it has failed.
        refused: why another run of this number could not take its place; None if none was tried.
    """

    number: int
    overrides: Sequence[str]
    error: str | None
    results: Mapping[str, Any]
    refused: str | None = None


def sweep_folder(config: DictConfig, arguments: Sequence[str]) -> Path:
    """Return the folder of a multirun.

    Raises:
        ConfigError: if the arguments set Hydra's own `hydra.sweep`, of which every process would make a
            folder of its own.
    """
    if any(argument.startswith("hydra.sweep.") for argument in arguments):
        raise ConfigError("hydra.sweep cannot be set here; output=DIR sweep_name=NAME names the folder.")
    return Path(config.output) / "sweeps" / str(config.sweep_name)


class RunRecorder:
    """Records in the folder of a multirun how one of its runs ends, wherever that run takes place.

    Args:
        folder: the folder of the multirun.
        number: the number of the run.
        overrides: the overrides of the configuration that it was given.
    """

    def __init__(self, folder: Path, number: int, overrides: Sequence[str]) -> None:
        self._folder, self._number, self._overrides = folder / RUNS, number, list(overrides)
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{number}.json"
        self._earlier = json.loads(path.read_bytes()) if path.exists() else None
        self.write(INTERRUPTED)

    def write(self, error: str | None) -> None:
        """Record why the run has failed; None if it has not."""
        record = {"overrides": self._overrides, "error": error}
        write_whole(self._folder / f"{self._number}.json", json.dumps(record, indent=2) + "\n")

    def refuse(self, reason: str) -> None:
        """Record that the folder holds another run; what that one has found stays in the table."""
        if self._earlier is None:
            return self.write(reason)
        record = self._earlier | {"refused": reason}
        write_whole(self._folder / f"{self._number}.json", json.dumps(record, indent=2) + "\n")

    @contextmanager
    def output(self, process: int) -> Iterator[None]:
        """Redirect the output of a run to a file in a `with` block, unless it runs in this process."""
        if os.getpid() == process:
            yield
            return
        path = self._folder / f"{self._number}.log"
        with path.open("w", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
            yield
        print(f"Run {self._number} has ended, see {path}", flush=True)


def read_runs(folder: Path) -> list[SweepRun]:
    """Return the runs of a multirun that have begun, in the order of their numbers."""
    runs = []
    for path in sorted((folder / RUNS).glob("*.json"), key=lambda path: int(path.stem)):
        record = json.loads(path.read_bytes())
        results, error = folder / path.stem / "results.json", record["error"]
        found = json.loads(results.read_bytes()) if error is None and results.exists() else {}
        runs.append(SweepRun(int(path.stem), record["overrides"], error, found, record.get("refused")))
    return runs


def write_summary(folder: Path, runs: Sequence[SweepRun]) -> list[str]:
    """Write a table of runs and, if any of them has results, a picture; return the names of both files."""
    swept = swept_values(runs)
    rows = [_row(run, values) for run, values in zip(runs, swept, strict=True)]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    write_whole(folder / "sweep.csv", text.getvalue())
    figure = sweep_picture([(run.number, run.results) for run in runs], swept)
    if figure is None:
        return ["sweep.csv"]
    figure.savefig(folder / "sweep.png", dpi=150)
    return ["sweep.csv", "sweep.png"]


def swept_values(runs: Sequence[SweepRun]) -> list[dict[str, Any]]:
    """Return the values of the overrides that differ between runs: for each run, by key."""
    parser = OverridesParser.create()
    parsed = [parser.parse_overrides(list(run.overrides)) for run in runs]
    values = [{override.get_key_element(): override.value() for override in own} for own in parsed]
    first = values[0] if len(values) > 1 else {}
    alike = {key for key in first if all(key in own and own[key] == first[key] for own in values)}
    return [{key: value for key, value in own.items() if key not in alike} for own in values]


def _row(run: SweepRun, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a run in the table."""
    row = {"run": run.number, **values, "ended": run.error or run.results.get("ended")}
    if "loss" in run.results:
        row["loss"] = run.results["loss"]["found"]
    for name, found in run.results.get("parameters", {}).items():
        column = label(name, found["unit"])
        row[column] = found["found"]
        if "standard_error" in found:
            row[f"standard error of {column}"] = found["standard_error"]
    if "seconds" in run.results:
        row["seconds"] = run.results["seconds"]
    return row


def format_runs(runs: Sequence[SweepRun]) -> str:
    """Format runs as a table: the overrides in which each differs, and its results or its error."""
    rows = [("run", "overrides", "loss", "found")]
    common = set.intersection(*(set(run.overrides) for run in runs)) if len(runs) > 1 else set()
    for run in runs:
        overrides = " ".join(override for override in run.overrides if override not in common)
        if run.refused is not None:
            overrides += " (an earlier run)"
        if run.error is not None:
            rows.append((str(run.number), overrides, "failed", run.error.partition("\n")[0]))
            continue
        found = ", ".join(
            f"{name.rpartition('.')[2]} = {format_found(row, '')}"
            for name, row in run.results.get("parameters", {}).items()
        )
        loss = f"{run.results['loss']['found']:.3e}" if "loss" in run.results else "-"
        rows.append((str(run.number), overrides, loss, found))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(part.ljust(width) for part, width in zip(row[:3], widths, strict=True)), row[3]])
        for row in rows
    )


def objective(results: Mapping[str, Any], key: str) -> float:
    """Return the number in the results of a run that a sweeper minimizes or maximizes.

    Raises:
        ConfigError: if there is no such number; the message lists those that there are.
    """
    value = OmegaConf.select(OmegaConf.create(dict(results)), key)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ConfigError(
        f"objective={key} is not a number in results.json; numbers are {', '.join(_numbers(results))}."
    )


def _numbers(results: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the keys of all numbers in results, with dots between the levels."""
    for name, value in results.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}"

"""What a run found: a table for people, results.json for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from simlayer.identification.history import History, relative_error
from simlayer.identification.losses import described
from simlayer.identification.module import ParameterIdentification
from simlayer.identification.unknowns import LISTED, listed, written

CONVERGED = "converged"


def results_of(
    model: ParameterIdentification,
    history: History,
    initial: Mapping[str, Tensor],
    *,
    loss: float,
    **more: Any,
) -> dict[str, Any]:
    """The outcome of a fit; `model` at what was found, with this loss, `initial` what it started from."""
    parameters = {}
    for unknown in model.unknowns:
        reference = history.reference.get(unknown.name)
        parameters[unknown.name] = {
            "initial": listed(initial[unknown.name]),
            "found": listed(unknown.value),
            "reference": None if reference is None else listed(reference),
            "relative_error": None if reference is None else relative_error(unknown.value, reference),
            "unit": unknown.unit,
        }
        if unknown.value.numel() > LISTED:
            parameters[unknown.name] |= {"values": unknown.value.numel(), "listed": "mean; median error"}
    losses = {"initial": history.rows[0]["loss"], "found": loss}
    return {"parameters": parameters, "loss": losses, "epochs": len(history.rows) - 1, **more}


def ended_results(folder: Path) -> dict[str, Any] | None:
    """The results of a run that has converged, None for one that can go on."""
    path = folder / "results.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return results if results.get("ended") == CONVERGED else None


def write_results(folder: Path, results: Mapping[str, Any]) -> None:
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def table(results: Mapping[str, Any]) -> str:
    """One line a parameter: initial -> found (reference, error); then how far off that still is."""
    lines = [_line(name, row) for name, row in results["parameters"].items()]
    if "residual" in results:
        lines.append(f"Off what was fitted: {described(results['residual'])}")
    if "unseen" in results:
        other = results["unseen"]
        lines.append(
            f"Off what was not: {described(other['residual'])}, {other['source']}, released at "
            f"{other['release_time']:.5g} s"
        )
    return "\n".join(lines)


def _line(name: str, row: Mapping[str, Any]) -> str:
    unit = f" {row['unit']}" if row["unit"] not in ("", "1") else ""
    many = f", mean of {row['values']}" if "values" in row else ""
    text = f"{name}: {written(row['initial'])}{unit} -> {written(row['found'])}{unit}{many}"
    if row["relative_error"] is None:
        return text if row["reference"] is None else f"{text} (reference {written(row['reference'])}{unit})"
    error = "median error" if many else "error"
    return f"{text} (reference {written(row['reference'])}{unit}, {error} {row['relative_error']:.2%})"

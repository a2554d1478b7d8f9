"""What a run found: a table for people, results.json for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from simlayer.training.history import LISTED, History, listed, relative_error
from simlayer.training.identification import ParameterIdentification


def results_of(
    model: ParameterIdentification, history: History, initial: Mapping[str, Tensor], **more: Any
) -> dict[str, Any]:
    """The outcome of a fit; `model` at what was found, `initial` the values that it started from."""
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
    loss = {"initial": history.rows[0]["loss"], "found": history.best["loss"]}
    return {"parameters": parameters, "loss": loss, "epochs": len(history.rows) - 1, **more}


def write_results(folder: Path, results: Mapping[str, Any]) -> None:
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def table(results: Mapping[str, Any]) -> str:
    """One line a parameter: initial -> found (reference, error)."""
    return "\n".join(_line(name, row) for name, row in results["parameters"].items())


def _line(name: str, row: Mapping[str, Any]) -> str:
    unit = f" {row['unit']}" if row["unit"] not in ("", "1") else ""
    many = f", mean of {row['values']}" if "values" in row else ""
    text = f"{name}: {_text(row['initial'])}{unit} -> {_text(row['found'])}{unit}{many}"
    if row["reference"] is None:
        return text
    error = "median error" if many else "error"
    return f"{text} (reference {_text(row['reference'])}{unit}, {error} {row['relative_error']:.2%})"


def _text(value: float | list[float]) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "(" + ", ".join(f"{part:.5g}" for part in value) + ")"

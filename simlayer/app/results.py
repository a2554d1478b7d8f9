"""The results of a run as numbers, and results.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from simlayer.identification.history import History, relative_error
from simlayer.identification.module import ParameterIdentification
from simlayer.identification.unknowns import FEW, summarize

CONVERGED = "converged"


def collect_results(
    model: ParameterIdentification,
    history: History,
    initial: Mapping[str, Tensor],
    *,
    loss: float,
    ended: str,
    seconds: float,
) -> dict[str, Any]:
    """Return the results of a fit: `model` and `loss` at the values found, `initial` the first guess."""
    parameters = {}
    for unknown in model.unknowns:
        reference = history.reference.get(unknown.name)
        parameters[unknown.name] = {
            "initial": summarize(initial[unknown.name]),
            "found": summarize(unknown.value),
            "reference": None if reference is None else summarize(reference),
            "relative_error": None if reference is None else relative_error(unknown.value, reference),
            "unit": unknown.unit,
        }
        if unknown.value.numel() > FEW:
            parameters[unknown.name] |= {"values": unknown.value.numel(), "listed": "mean; median error"}
    losses = {"initial": history.rows[0]["loss"], "found": loss}
    fit = {"epochs": len(history.rows) - 1, "ended": ended, "seconds": seconds}
    return {"parameters": parameters, "loss": losses, **fit}


def read_converged(folder: Path) -> dict[str, Any] | None:
    """Return the results of a run that has converged, None for one that can be resumed."""
    path = folder / "results.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return results if results.get("ended") == CONVERGED else None


def write_results(folder: Path, results: Mapping[str, Any]) -> None:
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")

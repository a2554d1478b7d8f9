"""The results of a run as numbers, and results.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from simlayer.app.run_folder import write_whole
from simlayer.errors import ConfigError
from simlayer.identification.history import History, errors_by_region, relative_error
from simlayer.identification.module import ParameterIdentification
from simlayer.identification.uncertainty import Uncertainty
from simlayer.identification.undetermined import describe_undetermined
from simlayer.identification.unknowns import FEW, Unknown, summarize

CONVERGED = "converged"


def collect_results(
    model: ParameterIdentification,
    history: History,
    initial: Mapping[str, Tensor],
    *,
    ended: str,
    seconds: float,
) -> dict[str, Any]:
    """Return the results of a fit: `model` at the values found, `initial` the first guess."""
    parameters = parameter_rows(model.unknowns, initial, history.reference)
    losses = {"initial": history.rows[0]["loss"], "found": history.best_loss}
    fit = {"epochs": len(history.rows) - 1, "ended": ended, "seconds": round(seconds, 1)}
    return {"parameters": parameters, "loss": losses, **fit}


def parameter_rows(
    unknowns: Sequence[Unknown], initial: Mapping[str, Tensor], references: Mapping[str, Tensor]
) -> dict[str, dict[str, Any]]:
    """Return the results of each unknown by its name, at the values found.

    Args:
        unknowns: the unknowns.
        initial: the first guess.
        references: the true values, where they are known.
    """
    parameters: dict[str, dict[str, Any]] = {}
    for unknown in unknowns:
        reference = references.get(unknown.name)
        parameters[unknown.name] = {
            "initial": summarize(initial[unknown.name]),
            "found": summarize(unknown.value),
            "reference": None if reference is None else summarize(reference),
            "relative_error": None if reference is None else relative_error(unknown.value, reference),
            "unit": unknown.unit,
        }
        if unknown.value.numel() > FEW:
            parameters[unknown.name] |= {"values": unknown.value.numel(), "listed": "mean; median error"}
            if reference is not None:
                parameters[unknown.name]["regions"] = errors_by_region(unknown.value, reference)
    return parameters


def add_uncertainty(
    results: Mapping[str, Any],
    unknowns: Sequence[Unknown],
    uncertainty: Uncertainty,
    *,
    listed_in: str = "trainable",
) -> dict[str, Any]:
    """Return the results with standard errors, correlations and what is not determined.

    A parameter that is not determined has no value that was found, but one at which the fit `stopped`. The
    standard error of a field is the median of those of its values. `listed_in` is the key that names them.
    """
    rows, start = {}, 0
    for unknown in unknowns:
        own = slice(start, start := start + unknown.parameter.numel())
        errors = uncertainty.standard_errors[own]
        rows[unknown.name] = row = dict(results["parameters"][unknown.name])
        row["determined"] = bool(uncertainty.determined[own].all())
        if not row["determined"]:
            row |= {"found": None, "stopped": row["found"], "relative_error": None}
        elif bool(errors.isfinite().all()):  # There are none without more observed numbers than parameters.
            row["standard_error"] = summarize(errors) if len(errors) <= FEW else float(errors.median())
    return {
        **results,
        "parameters": rows,
        "uncertainty": {
            "names": uncertainty.names,
            "correlation": uncertainty.correlation.nan_to_num().tolist(),
            "observed_numbers": uncertainty.linear.numbers,
            "effective_numbers": uncertainty.effective_numbers,
            "correlated_in_time": uncertainty.linear.correlated,
            "next_step": uncertainty.next_step,
            "undetermined": describe_undetermined(uncertainty, unknowns, listed_in=listed_in),
        },
    }


def add_discretization(
    results: Mapping[str, Any], model: ParameterIdentification, changes: Mapping[str, Tensor]
) -> dict[str, Any]:
    """Return the results with what an infinitely fine mesh, and step, would change in the values found.

    Args:
        results: the results so far.
        model: the fit.
        changes: the changes of all P numbers [SI], `(P,)`, by "mesh" and "step".
    """
    rows, sizes = dict(results["parameters"]), [unknown.parameter.numel() for unknown in model.unknowns]
    for part, change in changes.items():
        for unknown, own in zip(model.unknowns, change.split(sizes), strict=True):
            before = rows[unknown.name].get("discretization", {})
            rows[unknown.name] = {
                **rows[unknown.name],
                "discretization": before | {part: summarize(own.reshape(unknown.parameter.shape))},
            }
    return {**results, "parameters": rows}


def read_converged(folder: Path) -> dict[str, Any] | None:
    """Return the results of a run that has converged, None for one that can be resumed.

    Raises:
        ConfigError: if the file cannot be read.
    """
    path = folder / "results.json"
    try:
        results = json.loads(path.read_bytes()) if path.exists() else {}
        return results if results.get("ended") == CONVERGED else None
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); remove it to resume the run.") from error


def write_results(folder: Path, results: Mapping[str, Any]) -> None:
    write_whole(folder / "results.json", json.dumps(results, indent=2) + "\n")

"""The curves of tests that a configuration describes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from simlayer.errors import ConfigError, hint
from simlayer.material_point.curves import StressCurve
from simlayer.material_point.paths import PATHS
from simlayer.material_point.point import MaterialPoint
from simlayer.material_point.read_curve import read_curve
from simlayer.materials.base import Material

# What an entry of task.tests, and task.columns, may say.
KEYS = {*inspect.signature(read_curve).parameters, "between"}


def configured_curves(
    tests: Sequence[Mapping[str, Any]], columns: Mapping[str, Any], path: str | None
) -> list[StressCurve]:
    """Return the curves of a list of tests, each of which has the columns of all where it says nothing else.

    Args:
        tests: the arguments of `read_curve` for each, and the stretches `between` which it counts.
        columns: the same for all.
        path: the file of the only test, if none is listed.

    Raises:
        ConfigError: if a key is unknown, or one that is needed is missing.
        ObservationError: as `read_curve` does.
    """
    if tests and path is not None:
        raise ConfigError("data.path and task.tests exclude each other: list the file in task.tests, too.")
    entries = [dict(entry) for entry in tests] or ([{}] if path is None else [{"path": path}])
    return [_curve(f"task.tests[{k}]", {**columns, **entry}) for k, entry in enumerate(entries)]


def _curve(key: str, entry: dict[str, Any]) -> StressCurve:
    given = {name: value for name, value in entry.items() if value is not None}
    for name in given:
        if name not in KEYS:
            raise ConfigError(f"{key}.{name} is no key of a test; {hint(name, sorted(KEYS))}")
    for name in ("path", "stress", "stress_unit", "strain", "strain_unit"):
        if name not in given:
            raise ConfigError(
                f"{key}.{name} must be given, here or for all tests as task.columns.{name}: see "
                "configs/task/material_point.yaml."
            )
    # YAML reads 1 without quotation marks as a number.
    given |= {name: str(given[name]) for name in ("stress_unit", "strain_unit")}
    between = given.pop("between", None)
    curve = read_curve(given.pop("path"), **given)
    if between is None:
        return curve
    if not isinstance(between, list) or len(between) != 2:
        raise ConfigError(f"{key}.between must be two stretches, got {between!r}.")
    return curve.between(*between)


def twin_curves(
    truth: Material, *, tests: Sequence[str], stretch: float, points: int, noise: float, incompressible: bool
) -> list[StressCurve]:
    """Return simulated tests of a known material up to a stretch (less 1: a shear), with noise [Pa]."""
    curves = []
    for name in tests:
        if name not in PATHS:
            raise ConfigError(f"task.twin.tests: no test is named {name!r}; {hint(name, PATHS)}")
        strains = torch.linspace(0, stretch - 1, points + 1, dtype=torch.float64)[1:]
        at = strains + PATHS[name].rest
        with torch.no_grad():
            stress = MaterialPoint(truth.double(), incompressible=incompressible)(at, name).stress
        curves.append(StressCurve(at, stress + noise * torch.randn(points, dtype=torch.float64), name))
    return curves

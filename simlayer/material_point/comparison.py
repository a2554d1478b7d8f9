"""Several laws fitted to the same curves, ranked by an information criterion and by tests left out."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simlayer.errors import ConvergenceError, ImplausibleWarning
from simlayer.material_point.curves import StressCurve, checked_curves
from simlayer.material_point.fit import fit_curves
from simlayer.material_point.fitted_law import FittedLaw
from simlayer.materials.base import Material
from simlayer.quantities.arguments import checked_parts


@dataclass(frozen=True)
class ComparedLaw:
    """A law in a comparison.

    Attributes:
        name: of the law.
        fit: to all curves.
        aicc: Akaike's criterion with the correction for few points; only differences matter, and less is
            better.
        held_out: the root mean square residual [Pa] of each curve, predicted by a fit to all others; NaN
            where that has failed; empty if there is one curve.
    """

    name: str
    fit: FittedLaw
    aicc: float
    held_out: dict[str, float]

    @property
    def held_out_rms(self) -> float:
        """The root mean square of these over all curves [Pa]; NaN if there is one curve."""
        sizes = [(self.held_out[c.name], len(c)) for c in self.fit.curves if c.name in self.held_out]
        count = sum(number for _, number in sizes)
        return math.sqrt(sum(n * size**2 for size, n in sizes) / count) if count else math.nan


@dataclass(frozen=True)
class Comparison:
    """Laws in the order of their criterion, the best one first.

    Attributes:
        laws: the laws that could be fitted.
        failed: why the others could not be, by name.
    """

    laws: tuple[ComparedLaw, ...]
    failed: dict[str, str]

    def __str__(self) -> str:
        names = [curve.name for curve in self.laws[0].fit.curves] if self.laws else []
        titles = ["law", "unknowns", "rms [kPa]", "AICc - best", *(f"{n} left out [kPa]" for n in names)]
        several = len(names) > 1
        rows = [titles if several else titles[:4]]
        for law in self.laws:
            difference = law.aicc - self.laws[0].aicc
            row = [law.name, f"{len(law.fit.values)}", f"{1e-3 * law.fit.rms:.3g}", f"{difference:.1f}"]
            rows.append(row + [f"{1e-3 * law.held_out[name]:.3g}" for name in names if several])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        return "\n".join([*lines, *(f"{name}: {why}" for name, why in self.failed.items())])


def compare_laws(
    laws: Mapping[str, Material],
    curves: StressCurve | Sequence[StressCurve],
    *,
    incompressible: bool = False,
    **options: Any,
) -> Comparison:
    """Fit several laws to the same curves, and rank them.

    The criterion is n ln(sum of squares / n) + 2 k + 2 k (k + 1) / (n - k - 1) of n points and k unknown
    numbers, the noise among them (Akaike 1974; Hurvich and Tsai 1989, Biometrika 76, 297). It takes residuals
    as independent: where they are structured, believe the tests that were left out rather.

    Args:
        laws: the laws at their first guesses, by name; they are not changed.
        curves: the tests.
        incompressible: as for `MaterialPoint`.
        options: more of `fit_curves`, such as `starts`.

    Raises:
        ConvergenceError: if no law could be fitted.
    """
    given = checked_curves("curves", curves)
    found: list[ComparedLaw] = []
    failed: dict[str, str] = {}
    for name, law in checked_parts("laws", laws, Material, "NeoHookean(1e5, 0.45)").items():
        settings = {"incompressible": incompressible, **options}
        try:
            fit = _quiet_fit(law, given, settings)
        except ConvergenceError as error:
            failed[name] = str(error)
            continue
        held_out = {
            curve.name: _error_left_out(fit.material, given, curve, settings)
            for curve in given
            if len(given) > 1
        }
        found.append(ComparedLaw(name, fit, _aicc(fit), held_out))
    if not found:
        raise ConvergenceError(
            "\n".join(f"{name}: {why}" for name, why in failed.items()) or "laws is empty."
        )
    return Comparison(tuple(sorted(found, key=lambda law: law.aicc)), failed)


def _quiet_fit(law: Material, curves: Sequence[StressCurve], settings: Mapping[str, Any]) -> FittedLaw:
    """Fit a copy of a law, without warnings of tests that are not determined, which the table shows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImplausibleWarning)
        return fit_curves(copy.deepcopy(law), curves, **settings)


def _error_left_out(
    law: Material, curves: Sequence[StressCurve], left_out: StressCurve, settings: Mapping[str, Any]
) -> float:
    """Return the root mean square residual of a curve [Pa], by a fit to the others that starts at a law."""
    others = [curve for curve in curves if curve is not left_out]
    try:
        fit = _quiet_fit(law, others, settings)
    except ConvergenceError:
        return math.nan
    stress, _ = fit.predict(left_out.stretch, left_out.path)
    return float(np.sqrt(np.mean((stress - left_out.stress.numpy()) ** 2)))


def _aicc(fit: FittedLaw) -> float:
    """Return Akaike's criterion with its correction for few points, infinite for too few."""
    linear = fit.uncertainty.linear
    n, k = linear.numbers, len(fit.values) + 1
    squares = linear.noise**2 * (linear.numbers - (k - 1 - len(linear.invisible)))
    if n <= k + 1:
        return math.inf
    return n * math.log(max(squares, 1e-300) / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1)

"""What a fitted law predicts for the standard tests, measured or not, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.material_point.curve_problem import CurveProblem
from simlayer.material_point.curves import StressCurve
from simlayer.material_point.paths import PATHS

# The tests that are predicted, at how many stretches, and the share of the stress that its band may have.
TESTS, _COUNT, _WIDE = ("uniaxial", "equibiaxial", "planar"), 60, 0.5

# Standard errors on each side of a band that holds 95 % of what the noise makes of a fit.
BAND = 1.96

# Stresses below this share of the largest are no measure of a band.
_SMALL = 0.05

# Nearer to 1, a stretch is that of rest.
_AT_REST = 1e-3


class Prediction(NamedTuple):
    """The stress that a fitted law predicts along a path, over the measured stretches.

    Attributes:
        path: the name of the path.
        measured: whether a curve of it was fitted.
        stretch: the stretches.
        stress: the nominal stress [Pa], NaN where there is none.
        error: its standard error [Pa], infinite where it depends on what the curves do not determine.
    """

    path: str
    measured: bool
    stretch: Float[Tensor, "n"]
    stress: Float[Tensor, "n"]
    error: Float[Tensor, "n"]

    @property
    def warning(self) -> str | None:
        """What is wrong with the prediction, None if nothing is."""
        tension = float(self.stretch[-1]) > 1
        start = f"{self.path} {'tension' if tension else 'compression'}" + (
            "" if self.measured else ", which was not measured,"
        )
        missing = ~self.stress.isfinite()
        if bool(missing.any()):
            return f"{start} has no stress from a stretch of {float(self.stretch[missing][0]):.3g} on"
        outwards = self.stress if tension else -self.stress
        falling = outwards.diff() < -1e-9 * self.stress.abs().max()
        if bool(falling.any()):
            at = int(falling.nonzero()[0])
            return f"{start} is unstable: its size falls from a stretch of {float(self.stretch[at]):.3g} on"
        size = self.stress.abs().clamp(min=_SMALL * float(self.stress.abs().max()))
        ratio = BAND * self.error / size
        worst = int(ratio.argmax())
        if float(ratio[worst]) <= _WIDE:
            return None
        band, stress = 1e-6 * BAND * float(self.error[worst]), 1e-6 * float(self.stress[worst])
        band_text = f"± {band:.3g} MPa" if math.isfinite(band) else "without a limit"
        return (
            f"{start} is not determined: at a stretch of {float(self.stretch[worst]):.3g} the 95 % band is "
            f"{stress:.3g} MPa {band_text}"
        )


def predict_tests(
    problem: CurveProblem, stored: Float[Tensor, "P"], covariance: Float[Tensor, "P P"], invisible: Tensor
) -> tuple[Prediction, ...]:
    """Return the predictions of a fit for the standard tests, from rest to the ends of their stretches.

    Those of a test that was not measured are the ends of all curves.

    Args:
        problem: the law and the curves.
        stored: the stored values that were found.
        covariance: theirs, in units of `problem.scales`.
        invisible: directions `(I, P)` in these units that no residual depends on.
    """
    found = []
    for name in TESTS:
        own = [curve for curve in problem.curves if curve.path.name == name]
        for end in stretch_range(own or problem.curves):
            if abs(end - 1) > _AT_REST:
                stretch = torch.linspace(1, end, _COUNT, dtype=torch.float64)
                stress, error = problem.stress_with_error(stored, covariance, stretch, PATHS[name], invisible)
                found.append(Prediction(name, bool(own), stretch, stress, error))
    return tuple(found)


def stretch_range(curves: Sequence[StressCurve]) -> tuple[float, float]:
    """Return the least and the largest stretch of some curves, at rest 1; of a shear, its principal ones."""
    low, high = 1.0, 1.0
    for curve in curves:
        if curve.path.rest == 1:
            ends = [float(curve.stretch.min()), float(curve.stretch.max())]
        else:
            half = float(curve.stretch.abs().max()) / 2
            ends = [math.sqrt(1 + half**2) + half]
        low, high = min([low, *ends]), max([high, *ends])
    return low, high

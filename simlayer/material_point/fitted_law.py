"""A law that was fitted to the curves of tests: its values, how sure they are, and what they predict."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.identification.found_values import FoundValues
from simlayer.identification.uncertainty import Uncertainty
from simlayer.identification.unknowns import Unknown
from simlayer.material_point.curve_problem import CurveProblem
from simlayer.material_point.curves import StressCurve
from simlayer.material_point.descents import Descents
from simlayer.material_point.paths import DeformationPath, checked_path
from simlayer.material_point.predictions import Prediction, predict_tests
from simlayer.material_point.residual_runs import ResidualRuns, residual_runs
from simlayer.materials.base import Material
from simlayer.quantities.arrays import checked_numbers, described

# Residuals below this share of the stresses are rounding errors, whatever their signs.
_EXACT = 1e-6


@dataclass(frozen=True)
class FittedLaw(FoundValues):
    """What a fit to the curves of tests has found. The material that was given has the values, too.

    Attributes:
        material: a copy of the material with the values found, in double precision.
        curves: the tests.
        uncertainty: of the values.
        residuals: computed minus measured nominal stresses [Pa], by the name of the curve.
        starts: how many starts the fit had.
        found_best: how many of these have found the same minimum.
        steps: how many steps it took.
    """

    material: Material
    curves: tuple[StressCurve, ...]
    uncertainty: Uncertainty
    residuals: dict[str, Float[np.ndarray, "n"]]
    starts: int
    found_best: int
    steps: int
    _problem: CurveProblem
    _stored: Tensor

    def identified(self) -> tuple[Unknown, ...]:
        return self._problem.unknowns

    @property
    def rms(self) -> float:
        """The root mean square of all residuals [Pa]."""
        return float(np.sqrt(np.mean(np.concatenate(list(self.residuals.values())) ** 2)))

    @cached_property
    def predictions(self) -> tuple[Prediction, ...]:
        """What the law predicts for the standard tests over the measured range of stretches."""
        linear = self.uncertainty.linear
        return predict_tests(self._problem, self._stored, linear.covariance, linear.invisible)

    @cached_property
    def runs(self) -> dict[str, ResidualRuns]:
        """The runs of the residuals of each curve, see `residual_runs`."""
        return {name: residual_runs(torch.from_numpy(r)) for name, r in self.residuals.items()}

    @property
    def warnings(self) -> list[str]:
        """A sentence for every standard test whose prediction is not determined, or unstable."""
        remedy = "fit a curve of it too, or a law with fewer quantities, or do not use the law there"
        return [f"{found}; {remedy}." for p in self.predictions if (found := p.warning) is not None]

    @property
    def structured_residuals(self) -> list[str]:
        """A sentence for every curve whose residuals are not noise."""
        sentences = []
        for curve in self.curves:
            runs, size = self.runs[curve.name], float(np.sqrt(np.mean(self.residuals[curve.name] ** 2)))
            if runs.structured and size > _EXACT * float(curve.stress.abs().max()):
                sentences.append(
                    f"the residuals of {curve.name} are no noise: their signs make {runs.runs} runs, where "
                    f"noise makes about {runs.expected:.0f}. The law cannot follow the curve, and the "
                    "standard errors do not say how far off it is."
                )
        return sentences

    def predict(
        self, stretch: Any, path: str | DeformationPath = "uniaxial"
    ) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
        """Return nominal stresses [Pa] at some stretches `(n,)` of a path, and their standard errors.

        Arguments as for `MaterialPoint.forward`.
        """
        along, given = checked_path("path", path), checked_numbers("stretch", stretch)
        valid = given.isfinite() & ((given > 0) if along.rest > 0 else True)
        if given.ndim != 1 or not bool(valid.all()):
            rule = "finite and positive" if along.rest > 0 else "finite"
            raise ValueError(f"stretch must be {rule}, of shape (n,), got {described(stretch)}.")
        linear = self.uncertainty.linear
        stress, error = self._problem.stress_with_error(
            self._stored, linear.covariance, given, along, linear.invisible
        )
        return stress.numpy(), error.numpy()

    def __str__(self) -> str:
        lines = self.format_values()
        parts = {name: float(np.sqrt(np.mean(r**2))) for name, r in self.residuals.items()}
        each = ", ".join(f"{name} {1e-3 * size:.3g}" for name, size in parts.items())
        lines.append(f"rms of the residuals: {1e-3 * self.rms:.4g} kPa ({each})")
        if self.starts > 1:
            lines.append(f"{self.found_best} of {self.starts} starts found this minimum")
        return "\n".join([*lines, *self.undetermined, *self.structured_residuals, *self.warnings])


def fitted_law(problem: CurveProblem, found: Descents, uncertainty: Uncertainty) -> FittedLaw:
    """Return the result of a fit, given the values found and their uncertainty."""
    values = problem.residuals(found.best[None])[0][0]
    parts = values.split([len(curve) for curve in problem.curves])
    residuals = {
        curve.name: (part * noise).numpy()
        for curve, part, noise in zip(problem.curves, parts, problem.noise, strict=True)
    }
    return FittedLaw(
        problem.point.material,
        problem.curves,
        uncertainty,
        residuals,
        len(found.losses),
        found.found_best,
        found.steps,
        problem,
        found.best,
    )

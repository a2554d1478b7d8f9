"""Laws fitted to the curves of mechanical tests."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.errors import ConvergenceError, ImplausibleWarning
from simlayer.identification.linear_uncertainty import linear_uncertainty
from simlayer.identification.uncertainty import Uncertainty, parameter_names, stored_slopes
from simlayer.identification.unknowns import quantities_of
from simlayer.material_point.curve_problem import CurveProblem
from simlayer.material_point.curves import StressCurve, checked_curves
from simlayer.material_point.descents import Descents, descend, draw_starts
from simlayer.material_point.fitted_law import FittedLaw, fitted_law
from simlayer.materials.base import Material
from simlayer.quantities.arguments import checked_flag, checked_integer
from simlayer.quantities.objects import checked_instance, names_of_quantities

# How often the noise of each curve is estimated anew.
_ESTIMATES = 5


def fit_curves(
    material: Material,
    curves: StressCurve | Iterable[StressCurve],
    unknowns: str | Iterable[str] | None = None,
    *,
    incompressible: bool = False,
    estimate_noise: bool = False,
    starts: int = 1,
    seed: int = 0,
    max_steps: int = 200,
) -> FittedLaw:
    """Fit a law to the curves of one or several tests at once, by least squares of the nominal stress.

    It is the Levenberg-Marquardt method with exact derivatives. The material has the values found
    afterwards, and keeps its own if the fit fails.

    Args:
        material: the law at the first guess; any material.
        curves: the tests. Residuals are divided by the noise of their curve where it is known; else all
            stresses count alike.
        unknowns: the names of the quantities to find; by default all on which the stresses depend. Strain
            offsets are unknown where curves say so, as NAME.strain_offset.
        incompressible: as for `MaterialPoint`.
        estimate_noise: whether the noise of each curve is estimated from its own residuals, which then count
            by it.
        starts: how many first guesses are tried, those after the first at random around it. A law with
            several minima, such as Ogden's, needs 10 to 30.
        seed: of these.
        max_steps: of each start.

    Raises:
        KeyError: if the material has no quantity of a name.
        ValueError: if only some curves have a noise, or a quantity has more than one value.
        ConvergenceError: if the law has no stress at the first guess, or the best start has not converged.

    Warns:
        ImplausibleWarning: if the curves do not determine the stress of a standard test (uniaxial,
            equibiaxial or planar) over their range of stretches, or the law is unstable there.
    """
    checked_instance("material", material, Material, example="NeoHookean(1e5, 0.45)")
    given = checked_curves("curves", list(curves) if isinstance(curves, (tuple, set)) else curves)
    names = None if unknowns is None else names_of_quantities("unknowns", unknowns)
    estimate = checked_flag("estimate_noise", estimate_noise)
    known = [curve.name for curve in given if curve.noise is not None]
    if known and (estimate or len(known) < len(given)):
        raise ValueError(
            f"noise must be that of all curves, of none, or estimated; {', '.join(known)} of "
            f"{', '.join(curve.name for curve in given)} have it."
        )
    try:
        problem = CurveProblem(material, given, names, incompressible=incompressible)
    except KeyError as error:
        raise KeyError(f"unknowns: {error.args[0]}") from None
    count = checked_integer("starts", starts, least=1)
    most = checked_integer("max_steps", max_steps, least=1)
    points = draw_starts(problem, count, checked_integer("seed", seed, least=0))
    found = descend(problem, points, max_steps=most)
    for _ in range(_ESTIMATES if estimate else 0):
        _estimate_noise(problem, found.best)
        again = descend(problem, found.best[None], max_steps=most)
        found = Descents(again.best, found.losses, found.converged, found.steps + again.steps)
    if not bool(found.converged[int(found.losses.argmin())]):
        raise ConvergenceError(
            f"the fit of {type(material).__name__} has not converged in {most} steps from its best start; "
            "start nearer to the solution, or allow more (max_steps), or try more starts."
        )
    problem.assign(found.best)
    result = fitted_law(problem, found, _uncertainty(problem, found.best))
    _write_back(material, problem)
    if result.warnings:
        warnings.warn("\n".join(result.warnings), ImplausibleWarning, stacklevel=2)
    return result


def _estimate_noise(problem: CurveProblem, stored: Float[Tensor, "P"]) -> None:
    """Set the noise of every curve to the root mean square of its residuals [Pa]."""
    residuals = problem.residuals(stored[None])[0][0]
    parts = residuals.split([len(curve) for curve in problem.curves])
    sizes = torch.stack([part.square().mean().sqrt() for part in parts]) * problem.noise
    # A curve that is followed to rounding errors must not outweigh all others.
    problem.noise = sizes.clamp(min=1e-6 * float(problem.stress_size))


def _uncertainty(problem: CurveProblem, stored: Float[Tensor, "P"]) -> Uncertainty:
    """Return the uncertainty of stored values, in units of `scales`; each curve is a series."""
    residuals, jacobian = (part[0] for part in problem.residuals(stored[None]))
    counts = [len(curve) for curve in problem.curves]
    series, rows = (torch.nn.utils.rnn.pad_sequence(list(part.split(counts)), batch_first=True)
                    for part in (residuals, jacobian))  # fmt: skip
    present = torch.arange(max(counts)) < torch.tensor(counts)[:, None]
    linear = linear_uncertainty(
        series[..., None], rows[:, :, None], present[..., None], epsilon=torch.finfo(torch.float64).eps
    )
    values = torch.cat([unknown.value.reshape(1) for unknown in problem.unknowns])
    units = stored_slopes(problem.unknowns) * problem.scales
    return Uncertainty(parameter_names(problem.unknowns), values, units, linear)


def _write_back(material: Material, problem: CurveProblem) -> None:
    own: dict[str, Any] = quantities_of({"": material})
    for unknown in problem.unknowns:
        if unknown.name in own:
            own[unknown.name].assign(unknown.value)

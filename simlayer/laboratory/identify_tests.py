"""Quantities found from several tests at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from simlayer.errors import ConvergenceError, SimulationError
from simlayer.identification.descent import not_converged
from simlayer.identification.first_guess import FirstGuess
from simlayer.identification.found_values import FoundValues
from simlayer.identification.gauss_newton import GaussNewton
from simlayer.identification.linear_uncertainty import linear_uncertainty
from simlayer.identification.normal_equations import NormalEquations
from simlayer.identification.uncertainty import Uncertainty, parameter_names, stored_slopes
from simlayer.identification.unknowns import Unknown, quantities_of, select_trainable
from simlayer.laboratory.specimen_test import SpecimenTest
from simlayer.quantities.arguments import checked_integer
from simlayer.quantities.arrays import described
from simlayer.quantities.objects import checked_instance, names_of_quantities
from simlayer.rollout.parameter_jacobian import parameter_jacobian


@dataclass(frozen=True)
class IdentifiedTests(FoundValues):
    """What a fit to several tests has found. The materials of the tests have the values, too.

    Attributes:
        unknowns: the quantities.
        uncertainty: of their values.
        residuals: simulated minus measured values of each test by its name, in its unit.
        test_units: the unit of each test.
        alone: the standard errors that each test alone would give at these values, by its name; infinite
            where it does not determine a value.
        steps: how many steps the fit took.
    """

    unknowns: tuple[Unknown, ...]
    uncertainty: Uncertainty
    residuals: dict[str, Tensor]
    test_units: dict[str, str]
    alone: dict[str, dict[str, float]]
    steps: int

    def identified(self) -> tuple[Unknown, ...]:
        return self.unknowns

    def __str__(self) -> str:
        lines = [*self.undetermined]
        for line, name, unit in zip(self.format_values(), self.values, self.units, strict=True):
            each = ", ".join(f"{test} {_error(errors[name], unit)}" for test, errors in self.alone.items())
            lines.append(line + (f" (alone: {each})" if len(self.alone) > 1 else ""))
        for test, residuals in self.residuals.items():
            rms = float(residuals.square().mean().sqrt())
            lines.append(f"rms of the residuals of {test}: {rms:.4g} {self.test_units[test]}")
        return "\n".join(lines)


def identify_tests(
    tests: SpecimenTest | Sequence[SpecimenTest],
    unknowns: str | Iterable[str],
    *,
    max_steps: int = 50,
) -> IdentifiedTests:
    """Find quantities from one test or several at once, with their standard errors.

    Each test is weighted by its noise; where none is known, by the size of what it has measured. By
    Gauss-Newton, with exact derivatives. A material that several tests share is one object:

        material = MooneyRivlin(2e5, 1e5, 1e8)
        tension = LoadTest(Equilibrium(bar, {"elastic": ElasticForce(bar, material)}, fixed=...), ...)
        torsion = LoadTest(Equilibrium(rod, {"elastic": ElasticForce(rod, material)}, fixed=...), ...)
        print(identify_tests([tension, torsion], ["c10", "c01"]))

    Args:
        tests: with different names.
        unknowns: names of quantities of the tests' steps, or the ends of names, such as "youngs_modulus";
            with the name of the test in front where two tests have different ones.
        max_steps: of Gauss-Newton.

    Raises:
        KeyError: if a name is unknown, or that of different quantities.
        ValueError: if there is no test, two have the same name, or some have a known noise and others not.
        ConvergenceError: if the fit has not converged in so many steps.
        SimulationError: if the simulation fails.
    """
    given = _checked_tests(tests)
    problem = _TestProblem(given, names_of_quantities("unknowns", unknowns))
    most = checked_integer("max_steps", max_steps, least=1)
    optimizer, steps = GaussNewton([unknown.parameter for unknown in problem.unknowns]), 0
    guess = FirstGuess(problem.unknowns)

    def evaluate() -> None:
        try:
            with guess.explained():
                optimizer.equations = problem.equations()
        except SimulationError:
            if not optimizer.may_retreat:
                raise
            optimizer.equations = NormalEquations.failed(problem.size, torch.device("cpu"))

    while not optimizer.converged:
        if steps == most:
            raise ConvergenceError(not_converged(most, optimizer.loss))
        optimizer.step(evaluate)
        steps += 1
    return problem.result(steps)


class _TestProblem:
    """The residuals of some tests over their noise, as a function of shared unknowns."""

    def __init__(self, tests: Sequence[SpecimenTest], names: Sequence[str]) -> None:
        self.tests = tests
        candidates = _shared_quantities(tests)
        self.unknowns = select_trainable(candidates, names)
        if not self.unknowns:
            raise ValueError(f"unknowns must name at least one of {list(candidates)}, got none.")
        self.size = sum(unknown.parameter.numel() for unknown in self.unknowns)
        # The last evaluation, which is that of the result once a fit has converged.
        self._last: tuple[Tensor, tuple[list[Tensor], list[Tensor]]] | None = None

    def linearized(self) -> tuple[list[Tensor], list[Tensor]]:
        """Return the residuals of each test over its noise, and their Jacobian by the stored values."""
        values = parameters_to_vector([unknown.parameter.detach() for unknown in self.unknowns])
        if self._last is None or not torch.equal(self._last[0], values):
            self._last = values, self._evaluated()
        return self._last[1]

    def _evaluated(self) -> tuple[list[Tensor], list[Tensor]]:
        parameters = {unknown.name: unknown.parameter for unknown in self.unknowns}
        counts = [test.observed.numel() for test in self.tests]

        def residuals() -> Tensor:
            return torch.cat([t.residuals().flatten() / (t.noise or t.size) for t in self.tests])

        value, columns = parameter_jacobian(residuals, parameters)
        jacobian = torch.cat([columns[name].reshape(len(value), -1) for name in parameters], -1)
        return list(value.double().split(counts)), list(jacobian.double().split(counts))

    def equations(self) -> NormalEquations:
        residuals, jacobian = map(torch.cat, self.linearized())
        return NormalEquations.of(residuals, jacobian, torch.tensor(len(residuals)))

    def result(self, steps: int) -> IdentifiedTests:
        residuals, jacobians = self.linearized()
        present = [~test.observed.isnan().flatten() for test in self.tests]
        names, slopes = parameter_names(self.unknowns), stored_slopes(self.unknowns)
        values = torch.cat([unknown.value.double().cpu().flatten() for unknown in self.unknowns])
        epsilon = max(torch.finfo(test.observed.dtype).eps for test in self.tests)

        def uncertainty(chosen: slice) -> Uncertainty:
            parts = (torch.cat(part[chosen]) for part in (residuals, jacobians, present))
            r, J, seen = (part[None, None] for part in parts)  # one frame: residuals are independent
            linear = linear_uncertainty(r, J, seen, epsilon=epsilon)
            return Uncertainty(names, values, slopes, linear)

        alone = {
            test.name: dict(zip(names, uncertainty(slice(k, k + 1)).standard_errors.tolist(), strict=True))
            for k, test in enumerate(self.tests)
        }
        scaled = {
            test.name: (r * (test.noise or test.size)).view_as(test.observed)
            for test, r in zip(self.tests, residuals, strict=True)
        }
        units = {test.name: test.unit for test in self.tests}
        return IdentifiedTests(tuple(self.unknowns), uncertainty(slice(None)), scaled, units, alone, steps)


def _checked_tests(tests: Any) -> tuple[SpecimenTest, ...]:
    """Return tests; raises TypeError or ValueError unless they can be fitted together."""
    given = (tests,) if isinstance(tests, SpecimenTest) else tests
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise TypeError(
            f"tests must be a SpecimenTest, such as LoadTest, or a list of several, got {described(tests)}."
        )
    for index, test in enumerate(given):
        checked_instance(f"tests[{index}]", test, SpecimenTest, example="LoadTest(...)")
    names = [test.name for test in given]
    if len(set(names)) < len(names):
        raise ValueError(f"tests must have different names, got {', '.join(names)}: give each its name=.")
    known = [test.name for test in given if test.noise is not None]
    if known and len(known) < len(given):
        raise ValueError(
            f"noise must be that of all tests or of none; of {', '.join(names)}, {', '.join(known)} have it."
        )
    return tuple(given)


def _shared_quantities(tests: Sequence[SpecimenTest]) -> dict[str, Unknown]:
    """Return every quantity of the tests' steps once: one that all of them share by its name in a step.

    Others have the name of their first test in front.
    """
    found: dict[int, tuple[str, str, Unknown, int]] = {}
    for test in tests:
        for path, unknown in quantities_of({"": test.step}).items():
            first, name, known, count = found.get(id(unknown.parameter), (test.name, path, unknown, 0))
            found[id(unknown.parameter)] = first, name, known, count + 1
    return {
        name if count == len(tests) else f"{first}.{name}": Unknown(
            name if count == len(tests) else f"{first}.{name}", unknown.module, unknown.quantity
        )
        for first, name, unknown, count in found.values()
    }


def _error(error: float, unit: str) -> str:
    return "not determined" if error == float("inf") else f"± {error:.3g} {unit}"

"""Quantities found from several tests at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from simlayer.errors import ConvergenceError, SimulationError
from simlayer.identification.descent import not_converged
from simlayer.identification.first_guess import SPECIMENS, FirstGuess
from simlayer.identification.gauss_newton import GaussNewton
from simlayer.identification.normal_equations import NormalEquations
from simlayer.identification.priors import checked_priors
from simlayer.laboratory.identified_tests import IdentifiedTests
from simlayer.laboratory.joint_problem import JointProblem
from simlayer.laboratory.specimen_test import SpecimenTest
from simlayer.quantities.arguments import checked_integer
from simlayer.quantities.arrays import described
from simlayer.quantities.objects import checked_function, checked_instance, names_of_quantities


def identify_tests(
    tests: SpecimenTest | Sequence[SpecimenTest],
    unknowns: str | Iterable[str],
    *,
    priors: Mapping[str, nn.Module] | None = None,
    max_steps: int = 50,
    on_step: Callable[[int, float], Any] | None = None,
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
        priors: of fields, such as `SmoothnessPrior`, by any names: convex functions of the stored values of
            the unknown of their `name`, added to the mean of the squares of all residuals, each over its
            noise. Standard errors are then those of the posterior.
        max_steps: of Gauss-Newton.
        on_step: called after every step with its number, from 1, and what is minimized.

    Raises:
        KeyError: if a name is unknown, or that of different quantities.
        ValueError: if there is no test, two have the same name, some have a known noise and others not, or
            a prior is not of one of the unknowns.
        ConvergenceError: if the fit has not converged in so many steps.
        SimulationError: if the simulation fails.
    """
    given = _checked_tests(tests)
    problem = JointProblem(given, names_of_quantities("unknowns", unknowns), checked_priors(priors))
    report = None if on_step is None else checked_function("on_step", on_step, arguments=2)
    most = checked_integer("max_steps", max_steps, least=1)
    optimizer, steps = GaussNewton([unknown.parameter for unknown in problem.unknowns]), 0
    guess = FirstGuess(problem.unknowns)

    def evaluate() -> None:
        try:
            with guess.explained(check=SPECIMENS):
                optimizer.equations = problem.equations()
        except SimulationError:
            if not optimizer.may_retreat:
                raise
            optimizer.equations = NormalEquations.failed(problem.size, torch.device("cpu"))

    while not optimizer.converged:
        if steps == most:
            raise ConvergenceError(not_converged(most, optimizer.loss, unit=""))
        optimizer.step(evaluate)
        steps += 1
        if report is not None:
            report(steps, optimizer.loss)
    return problem.result(steps)


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

"""The steps of many fits at once are those of `GaussNewton` for each."""

import pytest
import torch
from torch import nn

from simlayer.identification.gauss_newton import GaussNewton
from simlayer.identification.least_squares import Linearization
from simlayer.identification.normal_equations import NormalEquations
from simlayer.identification.specimen_fits import SpecimenFits
from simlayer.identification.specimens import Specimens

pytestmark = pytest.mark.usefixtures("float64")
TIMES = torch.linspace(0, 2, 20, dtype=torch.float64)


def decay(x, truth):
    """Residuals of a decay observed with errors, whose minimum is not zero."""
    errors = 0.05 * torch.sin(37 * TIMES)
    return x[0].exp() * torch.exp(-x[1].exp() * TIMES) - (truth[0] * torch.exp(-truth[1] * TIMES) + errors)


class Decays(Specimens):
    """Decays that are fitted at once; where the first number is beyond a wall there is nothing."""

    def __init__(self, start, truths, wall=100.0):
        self.x, self.truths, self.wall = start, truths, wall
        self.count, self.calls, self.failures = len(start), [], 0

    def values(self):
        return self.x

    def rounded(self, values):
        return values

    def assign(self, values):
        self.x = values

    def linearized(self, values, wanted):
        self.calls.append(wanted.tolist())
        stands = wanted & (values[:, 0] < self.wall)
        r = torch.stack([decay(*each) for each in zip(values, self.truths, strict=True)])
        J = torch.stack([torch.func.jacfwd(decay)(*each) for each in zip(values, self.truths, strict=True)])
        own = NormalEquations.of(r, J, torch.full((self.count,), 7))
        lost = NormalEquations.failed(2, r.device)
        parts = (
            torch.where(stands[(..., *[None] * (a.ndim - 1))], a, b) for a, b in zip(own, lost, strict=True)
        )
        failed = {k: "beyond the wall" for k in (wanted & ~stands).nonzero().flatten().tolist()}
        self.failures += len(failed)
        points = r.unflatten(1, (-1, 1, 1)).expand(-1, -1, -1, 3)
        found = Linearization(points, J.unflatten(1, (-1, 1, 1)).expand(-1, -1, -1, 3, -1))
        return found, NormalEquations(*parts), failed


def alone(start, truth, wall=100.0):
    """Return where `GaussNewton` finds the minimum of one of them, and in how many steps."""
    x = nn.Parameter(start.clone())
    optimizer = GaussNewton([x])

    def closure():
        at = x.detach()
        if float(at[0]) < wall:
            J = torch.func.jacfwd(decay)(at, truth)
            optimizer.equations = NormalEquations.of(decay(at, truth), J, torch.tensor(7))
        else:
            assert optimizer.may_retreat
            optimizer.equations = NormalEquations.failed(2, at.device)

    steps = 0
    while not optimizer.converged:
        optimizer.step(closure)
        steps += 1
    return x.detach(), steps


STARTS = torch.tensor([[0.0, 0.0], [2.0, -1.0], [1.0, 0.5], [-2.0, 1.0]], dtype=torch.float64)
TRUTHS = torch.tensor([[3.0, 1.5], [1.0, 0.5], [3.0, 1.5], [2.0, 1.0]], dtype=torch.float64)


def fits_of(problem):
    return SpecimenFits(problem, GaussNewton([nn.Parameter(torch.zeros(2))]).rules)


def test_each_fit_takes_the_steps_that_it_takes_alone():
    problem = Decays(STARTS, TRUTHS)
    fits = fits_of(problem)
    fits.solve(50)
    for index, (start, truth) in enumerate(zip(STARTS, TRUTHS, strict=True)):
        found, steps = alone(start, truth)
        torch.testing.assert_close(problem.x[index], found, rtol=1e-12, atol=1e-12)
        assert int(fits.steps[index]) == steps
    assert len(set(fits.steps.tolist())) > 1
    residuals = torch.stack([decay(*each) for each in zip(problem.x, TRUTHS, strict=True)])
    torch.testing.assert_close(fits.linearization.residuals[..., 0, 0], residuals)


def test_what_has_converged_is_not_simulated_again():
    problem = Decays(STARTS, TRUTHS)
    fits = fits_of(problem)
    fits.solve(50)
    rounds = torch.tensor(problem.calls).sum(0)
    # Once at the first guess, and once for every trial.
    assert (rounds >= 1 + fits.steps).all()
    assert len(set(rounds.tolist())) > 1
    for before, after in zip(problem.calls, problem.calls[1:], strict=False):
        assert all(old or not new for old, new in zip(before, after, strict=True))
    assert sum(problem.calls[-1]) < len(STARTS)


def test_what_cannot_be_simulated_is_approached_by_shorter_steps():
    wall, starts = 1.2, torch.tensor([[0.5, 0.4], [-2.0, 1.0]])
    problem = Decays(starts, TRUTHS[[0, 3]], wall)
    fits = fits_of(problem)
    fits.solve(50)
    assert problem.failures > 0
    assert not fits.errors
    for index, (start, truth) in enumerate(zip(starts, TRUTHS[[0, 3]], strict=True)):
        found, steps = alone(start, truth, wall)
        torch.testing.assert_close(problem.x[index], found, rtol=1e-12, atol=1e-12)
        assert int(fits.steps[index]) == steps


def test_a_fit_whose_minimum_is_beyond_the_wall_fails_where_no_shorter_step_is_left():
    problem = Decays(STARTS[[0, 1]], TRUTHS[[0, 1]], wall=1.0)  # log 3 is beyond, log 1 is not
    problem.x = torch.tensor([[0.0, 0.0], [0.5, -1.0]])
    fits = fits_of(problem)
    fits.solve(50)
    assert fits.errors == {0: "beyond the wall"}
    assert 0.9 < float(problem.x[0, 0]) < 1.0
    found, _ = alone(torch.tensor([0.5, -1.0]), TRUTHS[1])
    torch.testing.assert_close(problem.x[1], found)

"""Gauss-Newton for many specimens at once, each with steps of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from simlayer.errors import SimulationError
from simlayer.identification.descent import Descent, chosen, not_converged
from simlayer.identification.least_squares import Linearization
from simlayer.identification.specimens import Specimens


class SpecimenFits:
    """The fits of many specimens: steps, trust radius and convergence of each are those of a single fit.

    Each round simulates all of them once. One that has converged keeps its values; one that fails, where a
    shorter step does not help, is left where it was, with a reason in `errors`.

    Args:
        specimens: their residuals.
        rules: of the steps.
        max_trials: how many trials make a step, even where none was accepted, as for `GaussNewton`.

    Attributes:
        place: where each fit is.
        linearization: residuals and Jacobian there.
        steps: how many steps each fit has made, `(B,)`; one if it had converged to begin with.
        errors: why fits have failed, by the index of the specimen.

    Raises:
        SimulationError: if no specimen can be simulated.
    """

    def __init__(self, specimens: Specimens, rules: Descent, *, max_trials: int = 10) -> None:
        self.specimens, self.rules, self.max_trials = specimens, rules, max_trials
        start = specimens.values()
        everyone = torch.ones(specimens.count, dtype=torch.bool)
        found, equations, self.errors = specimens.linearized(start, everyone)
        if found is None:
            raise SimulationError(f"no specimen can be simulated; the first one: {self.errors[0]}")
        self.linearization = found
        # A specimen that failed has an infinite loss and no slope, so that it stays where it is.
        self.place = rules.begin(start, equations)
        self.steps = self.place.converged.long()
        self._trials = torch.zeros_like(self.steps)

    @property
    def active(self) -> Tensor:
        """Which fits have steps left to make, `(B,)`."""
        active = ~self.place.converged
        active[list(self.errors)] = False
        return active

    def solve(self, max_steps: int, *, must_converge: bool = True) -> None:
        """Make all steps, at most `max_steps` of each fit, and set the specimens to the values found.

        A fit that needs more has failed, unless it need not converge.
        """
        while bool((active := self.active & (self.steps < max_steps)).any()):
            self._round(active)
        for index in self.active.nonzero().flatten().tolist() if must_converge else ():
            self.errors[index] = not_converged(max_steps, float(self.place.equations.loss[index]))
        self.specimens.assign(self.place.at)

    def _round(self, active: Tensor) -> None:
        """Try a step of each active fit."""
        before, specimens = self.place, self.specimens
        step = self.rules.step(before)
        trial = specimens.rounded(before.at + step)
        found, equations, failed = specimens.linearized(trial, active)
        after, taken = self.rules.judge(before, step, trial, equations)
        self.place = before.updated(active, after)
        if found is not None:
            known, moved = self.linearization, active & taken
            self.linearization = Linearization(
                chosen(moved, found.residuals, known.residuals),
                chosen(moved, found.jacobian, known.jacobian),
            )
        self._trials += active
        ended = active & (taken | self.place.converged | (self._trials == self.max_trials))
        self.steps += ended
        self._trials[ended] = 0
        last = before.radius <= 0.01 * self.rules.trust_radius
        self.errors |= {k: reason for k, reason in failed.items() if active[k] and last[k]}

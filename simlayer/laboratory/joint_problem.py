"""The residuals of several tests as a function of unknowns that they share, with priors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from simlayer.identification.influence import Influence
from simlayer.identification.linear_uncertainty import linear_uncertainty
from simlayer.identification.normal_equations import NormalEquations
from simlayer.identification.uncertainty import Uncertainty, parameter_names, stored_slopes
from simlayer.identification.unknowns import Unknown, quantities_of, select_trainable, select_unknowns
from simlayer.laboratory.identified_tests import IdentifiedTests
from simlayer.laboratory.specimen_test import SpecimenTest
from simlayer.rollout.parameter_jacobian import parameter_jacobian


class JointProblem:
    """The residuals of some tests over their noise, as a function of shared unknowns.

    What is minimized is the mean of their squares, and the priors.

    Args:
        tests: the tests.
        names: of the unknowns.
        priors: by any names; each has the `name` of the unknown whose stored value it is called with.
    """

    def __init__(
        self, tests: Sequence[SpecimenTest], names: Sequence[str], priors: Mapping[str, nn.Module]
    ) -> None:
        self.tests, self.priors = tests, list(priors.values())
        candidates = shared_quantities(tests)
        self.unknowns = select_trainable(candidates, names)
        if not self.unknowns:
            raise ValueError(f"unknowns must name at least one of {list(candidates)}, got none.")
        with_prior = select_unknowns(candidates, [str(prior.name) for prior in self.priors])
        if other := [unknown.name for unknown in with_prior if unknown not in self.unknowns]:
            raise ValueError(f"priors has one of {other[0]}, which is none of the unknowns: name it there.")
        self.with_prior = [self.unknowns.index(unknown) for unknown in with_prior]
        self.sizes = [unknown.parameter.numel() for unknown in self.unknowns]
        self.size = sum(self.sizes)
        self.present = [~test.observed.isnan().flatten() for test in tests]
        self.number = sum(int(part.sum()) for part in self.present)
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
        """Return the expansion of what is minimized about the present values."""
        residuals, jacobian = map(torch.cat, self.linearized())
        of_tests = NormalEquations.of(residuals, jacobian, torch.tensor(self.number))
        loss, gradient, curvature = self._of_priors()
        return NormalEquations(
            of_tests.loss + loss,
            of_tests.gradient + gradient,
            of_tests.curvature + curvature,
            of_tests.number,
        )

    def _of_priors(self) -> tuple[Float[Tensor, ""], Float[Tensor, "P"], Float[Tensor, "P P"]]:
        """Return the sum of the priors with its first and second derivatives by the stored values."""
        loss, gradient = torch.zeros((), dtype=torch.float64), torch.zeros(self.size, dtype=torch.float64)
        curvature = torch.zeros(self.size, self.size, dtype=torch.float64)
        for prior, index in zip(self.priors, self.with_prior, strict=True):
            own = slice(start := sum(self.sizes[:index]), start + self.sizes[index])
            stored = self.unknowns[index].parameter.detach()
            loss += prior(stored).detach().double()
            gradient[own] += torch.func.grad(prior)(stored).double().flatten()
            hessian = torch.func.hessian(prior)(stored).double()
            curvature[own, own] += hessian.reshape(self.sizes[index], -1)
        return loss, gradient, curvature

    def result(self, steps: int) -> IdentifiedTests:
        """Return what a fit has found in so many steps."""
        residuals, jacobians = self.linearized()
        with torch.no_grad():
            self.influences = [test.influence() for test in self.tests]
        every = self._uncertainty(range(len(self.tests)))
        single = len(self.tests) == 1
        alone = {test.name: every if single else self._uncertainty([k]) for k, test in enumerate(self.tests)}
        errors = {
            name: dict(zip(u.names, u.standard_errors.tolist(), strict=True)) for name, u in alone.items()
        }
        scaled, bands = {}, {}
        for test, r, J in zip(self.tests, residuals, jacobians, strict=True):
            size = test.noise or test.size
            scaled[test.name] = (size * r).view_as(test.observed)
            variance = ((J @ every.linear.covariance) * J).sum(-1)
            bands[test.name] = (size * variance.clamp(min=0).sqrt()).view_as(test.observed)
        units = {test.name: test.unit for test in self.tests}
        return IdentifiedTests(tuple(self.unknowns), every, scaled, bands, units, errors, steps)

    def _uncertainty(self, chosen: Sequence[int]) -> Uncertainty:
        """Return the uncertainty of the present values if only some of the tests had been made.

        Priors count as further observations whose square is the second derivative of the prior (Laplace's
        approximation of the posterior).
        """
        residuals, jacobians = self.linearized()
        r, J, seen = (torch.cat([part[k] for k in chosen]) for part in (residuals, jacobians, self.present))
        epsilon = max(torch.finfo(test.observed.dtype).eps for test in self.tests)
        count, influence = int(seen.sum()), self._influence(chosen)
        if self.priors:
            sizes, directions = torch.linalg.eigh(self.number / 2 * self._of_priors()[2])
            J = torch.cat([J, sizes.clamp(min=0).sqrt()[:, None] * directions.T])
            r, seen = (
                torch.cat([part, part.new_full((self.size,), fill)]) for part, fill in ((r, 0), (seen, 1))
            )
            if influence is not None:  # which is that of residuals with the common noise
                none = torch.zeros(self.size)
                influence = _joined([influence, Influence(none.double(), none.long() - 1)])
        # One frame: residuals are independent.
        whole = None if influence is None else Influence(*(part[None, None] for part in influence))
        linear = linear_uncertainty(
            r[None, None], J[None, None], seen[None, None], epsilon=epsilon, influence=whole
        )
        if self.priors:  # whose slopes balance those of the tests
            linear = linear._replace(numbers=count, step=torch.zeros_like(linear.step))
        values = torch.cat([unknown.value.double().cpu().flatten() for unknown in self.unknowns])
        return Uncertainty(parameter_names(self.unknowns), values, stored_slopes(self.unknowns), linear)

    def _influence(self, chosen: Sequence[int]) -> Influence | None:
        """Return the influence of the residuals of some tests; None if those of all have the common noise."""
        if all(self.influences[k] is None for k in chosen):
            return None
        plain = [torch.zeros(self.tests[k].observed.numel()) for k in chosen]
        parts = [
            self.influences[k] or Influence(none.double(), none.long() - 1)
            for k, none in zip(chosen, plain, strict=True)
        ]
        return _joined(parts)


def _joined(parts: Sequence[Influence]) -> Influence:
    """Return the influence of the residuals of several tests, whose sources of noise are different ones."""
    bends, sources, first = [], [], 0
    for part in parts:
        bends.append(part.bends)
        sources.append(torch.where(part.sources < 0, -1, part.sources + first))
        first = max(first, int(sources[-1].max()) + 1)
    return Influence(torch.cat(bends), torch.cat(sources))


def shared_quantities(tests: Sequence[SpecimenTest]) -> dict[str, Unknown]:
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

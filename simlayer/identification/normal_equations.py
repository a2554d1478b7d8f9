"""A sum of squares expanded about some values: what a Gauss-Newton step needs of the residuals."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class NormalEquations(NamedTuple):
    """A mean of squares about the present values of P parameters: L + g d + d H d / 2 for small changes d.

    With residuals r and their Jacobian J, L = r r / n, g = 2 Jᵀ r / n and H = 2 Jᵀ J / n, in double
    precision. Parts of the residuals have equations of their own: times n, they add up to those of all.
    Those of a batch of fits have its axes in front.

    Attributes:
        loss: L.
        gradient: g.
        curvature: H.
        number: n, how many points were observed.
    """

    loss: Float[Tensor, "*batch"]
    gradient: Float[Tensor, "*batch P"]
    curvature: Float[Tensor, "*batch P P"]
    number: Float[Tensor, "*batch"]

    @staticmethod
    def of(
        residuals: Float[Tensor, "*batch R"],
        jacobian: Float[Tensor, "*batch R P"],
        number: Int[Tensor, "*batch"],
    ) -> NormalEquations:
        """Return the normal equations of some residuals and their Jacobian."""
        r, J, n = residuals.double()[..., None], jacobian.double(), number.double()
        gradient, curvature = 2 * (J.mT @ r)[..., 0] / n[..., None], 2 * J.mT @ J / n[..., None, None]
        return NormalEquations(r.square().sum((-2, -1)) / n, gradient, curvature, n)

    @staticmethod
    def failed(size: int, device: torch.device) -> NormalEquations:
        """Return the normal equations of a simulation that fails: an infinite loss."""
        zeros = torch.zeros(size, size + 1, dtype=torch.float64, device=device)
        one = torch.ones((), dtype=torch.float64, device=device)
        return NormalEquations(one / 0, zeros[:, 0], zeros[:, 1:], one)

    def reduction(self, step: Float[Tensor, "*batch P"]) -> Float[Tensor, "*batch"]:
        """Return by how much a step reduces the mean of squares, as far as the expansion tells."""
        slope, bend = (self.gradient * step).sum(-1), (self.curvature @ step[..., None])[..., 0]
        return -(slope + 0.5 * (step * bend).sum(-1))

    def over_processes(self, total: Callable[[Tensor], Tensor]) -> NormalEquations:
        """Return the normal equations of all processes, given a function that sums a tensor over them."""
        parts = torch.cat([part.flatten() * self.number for part in self[:3]] + [self.number[None]])
        sums, size = total(parts), len(self.gradient)
        loss, gradient, curvature = (sums[:-1] / sums[-1]).split([1, size, size * size])
        return NormalEquations(loss[0], gradient, curvature.reshape(size, size), sums[-1])

    def as_loss(self, parameters: Iterable[Tensor]) -> Float[Tensor, ""]:
        """Return the loss, with a graph whose `backward` gives the parameters their gradient."""
        parameters = list(parameters)
        slopes = self.gradient.split([parameter.numel() for parameter in parameters])
        changes = (
            (slope.to(parameter) * (parameter - parameter.detach()).flatten()).sum()
            for slope, parameter in zip(slopes, parameters, strict=True)
        )
        return sum(changes, start=self.loss.to(parameters[0]))

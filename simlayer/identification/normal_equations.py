"""A sum of squares about some values: what a step of Gauss and Newton needs of all its residuals."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class NormalEquations(NamedTuple):
    """A mean of squares about the present values of P parameters: L + g d + d H d / 2 for small changes d.

    With residuals r and their Jacobian J, L = r r / n, g = 2 Jᵀ r / n and H = 2 Jᵀ J / n, in double
    precision. A part of the residuals has its own; those of all parts are the sums of what is over n.

    Attributes:
        loss: L.
        gradient: g.
        curvature: H.
        number: n.
    """

    loss: Float[Tensor, ""]
    gradient: Float[Tensor, "P"]
    curvature: Float[Tensor, "P P"]
    number: Float[Tensor, ""]

    @staticmethod
    def of(
        residuals: Float[Tensor, "R"], jacobian: Float[Tensor, "R P"], number: Int[Tensor, ""]
    ) -> NormalEquations:
        r, J, n = residuals.double(), jacobian.double(), number.double()
        return NormalEquations(r @ r / n, 2 * J.T @ r / n, 2 * J.T @ J / n, n)

    @staticmethod
    def failed(size: int, device: torch.device) -> NormalEquations:
        """Return those of a simulation that fails: an infinite loss."""
        zeros = torch.zeros(size, size + 1, dtype=torch.float64, device=device)
        one = torch.ones((), dtype=torch.float64, device=device)
        return NormalEquations(one / 0, zeros[:, 0], zeros[:, 1:], one)

    def over_processes(self, total: Callable[[Tensor], Tensor]) -> NormalEquations:
        """Return those of the residuals of all processes, by a function that adds a tensor over them."""
        parts = torch.cat([part.flatten() * self.number for part in self[:3]] + [self.number[None]])
        sums, size = total(parts), len(self.gradient)
        loss, gradient, curvature = (sums[:-1] / sums[-1]).split([1, size, size * size])
        return NormalEquations(loss[0], gradient, curvature.reshape(size, size), sums[-1])

    def as_loss(self, parameters: Iterable[Tensor]) -> Float[Tensor, ""]:
        """Return the loss as a function of the parameters, for whoever calls `backward`."""
        parameters = list(parameters)
        slopes = self.gradient.split([parameter.numel() for parameter in parameters])
        changes = (
            (slope.to(parameter) * (parameter - parameter.detach()).flatten()).sum()
            for slope, parameter in zip(slopes, parameters, strict=True)
        )
        return sum(changes, start=self.loss.to(parameters[0]))

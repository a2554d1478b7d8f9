"""Polynomial shape functions of reference lines, triangles, squares, tetrahedra and cubes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

Node = tuple[float, ...]
Exponents = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class ShapeFunctions:
    """The polynomials of some powers that are one at one node and zero at the others.

    Attributes:
        nodes: C reference points of d coordinates in [0, 1].
        powers: of the coordinates in each of the C monomials.
    """

    nodes: tuple[Node, ...]
    powers: Exponents

    def functions(self, points: Float[Tensor, "P d"]) -> Float[Tensor, "P C"]:
        """Return the value N of each function at each point."""
        return self._monomials(points) @ self._coefficients.to(points)

    def gradients(self, points: Float[Tensor, "P d"]) -> Float[Tensor, "P C d"]:
        """Return the derivatives dN/dxi of each function at each point."""
        powers = torch.tensor(self.powers)
        slopes = []
        for axis in range(powers.shape[1]):
            lowered = powers.clone()
            lowered[:, axis] = (powers[:, axis] - 1).clamp(min=0)
            monomials = (points[:, None] ** lowered.to(points)).prod(-1) * powers[:, axis].to(points)
            slopes.append(monomials @ self._coefficients.to(points))
        return torch.stack(slopes, -1)

    def _monomials(self, points: Float[Tensor, "P d"]) -> Float[Tensor, "P C"]:
        return (points[:, None] ** torch.tensor(self.powers).to(points)).prod(-1)

    @cached_property
    def _coefficients(self) -> Float[Tensor, "C C"]:
        # In coordinates from 0 to 1 all coefficients are whole numbers, so rounding makes them exact.
        nodes = torch.tensor(self.nodes, dtype=torch.float64)
        return torch.linalg.inv(self._monomials(nodes)).round()


def simplex_powers(dimension: int, degree: int) -> Exponents:
    """Return the powers of all monomials up to a degree: complete polynomials."""
    powers = product(range(degree + 1), repeat=dimension)
    return tuple(power for power in powers if sum(power) <= degree)


def serendipity_powers(dimension: int, degree: int) -> Exponents:
    """Return the powers of all monomials up to a degree (1 or 2) in which first powers do not count.

    Arnold, Awanou 2011, "The serendipity family of finite elements"; for degree 1 they are multilinear.
    """
    powers = product(range(degree + 1), repeat=dimension)
    return tuple(power for power in powers if sum(p for p in power if p > 1) <= degree)

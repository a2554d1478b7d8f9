"""A small convex neural network of a few numbers, written by components."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.quantities.arguments import checked_integer, checked_several


class Expansion(NamedTuple):
    """A function at one point: its value, its gradient, and its second derivative along a direction."""

    value: Float[Tensor, ""]
    gradient: Float[Tensor, "inputs"]
    curvature: Float[Tensor, ""]


def check_hidden(name: str, sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the sizes of hidden layers; raises TypeError or ValueError unless there is one at least."""
    try:
        count = max(1, len(sizes))
    except TypeError:
        count = 1
    return checked_several(name, sizes, count, checked_integer, least=1)


class ConvexNetwork(nn.Module):
    """A convex function of a few numbers (Amos, Xu, Kolter 2017, "Input Convex Neural Networks").

    Sums with positive weights of convex, increasing functions of convex functions are convex. All weights are
    positive, and stored as logarithms, except those of the inputs in which the function may decrease. The
    activation is (z + sqrt(z² + 4)) / 2 (Barron 2021, "Squareplus"), smooth, and much cheaper than the
    softplus that it resembles.

    Args:
        num_increasing: in how many of its inputs, the first ones, the function increases.
        num_free: in how many, which follow, it may also decrease.
        hidden: the number of units of each hidden layer.
        amplitude: the typical size of its slopes before it is trained; much less learns more slowly.
    """

    free_weight: nn.Parameter | None

    def __init__(
        self, num_increasing: int, num_free: int, hidden: Sequence[int], *, amplitude: float = 1.0
    ) -> None:
        super().__init__()
        free = nn.Parameter(torch.randn(hidden[0], num_free)) if num_free else None
        self.register_parameter("free_weight", free)
        self.biases = nn.ParameterList(torch.randn(size) for size in hidden)
        # Sums over the units of a layer are means at first, whatever their number.
        scales = [1.0, *(1 / size for size in hidden[:-1]), amplitude / hidden[-1]]
        self.log_weights = nn.ParameterList(
            scale.log() + 0.5 * torch.randn(rows, columns)
            for scale, (columns, rows) in zip(
                torch.tensor(scales), pairwise([num_increasing, *hidden, 1]), strict=True
            )
        )

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Return the function of these numbers, each a field of any shape."""
        *layers, last = self._weights()
        values = inputs
        for weights, bias in zip(layers, self.biases, strict=True):
            values = tuple(
                _activation(_weighted_sum(row, values) + own)
                for row, own in zip(weights, bias.unbind(), strict=True)
            )
        return _weighted_sum(last[0], values)

    def at_zero(self, direction: Float[Tensor, "inputs"]) -> Expansion:
        """Return the function's expansion where all inputs are zero, with its curvature along a direction."""
        first, *others = self._weights()
        z, slopes = self.biases[0], first
        curvatures = torch.zeros_like(z)
        # Not a slice of the list, which would make new parameters of what takes their place in a call.
        biases = [*self.biases, torch.zeros_like(z[:1])][1:]
        for weights, bias in zip(others, biases, strict=True):
            root = (z * z + 4).sqrt()
            slope, curvature = 0.5 * (1 + z / root), 2 / root**3
            curvatures = weights @ (slope * curvatures + curvature * (slopes @ direction) ** 2)
            slopes = weights @ (slope[:, None] * slopes)
            z = weights @ _activation(z) + bias
        return Expansion(z[0], slopes[0], curvatures[0])

    def _weights(self) -> list[Tensor]:
        """Return the weights of every layer."""
        first, *others = (weight.exp() for weight in self.log_weights)
        return [first if self.free_weight is None else torch.cat([first, self.free_weight], 1), *others]


def _activation(z: Tensor) -> Tensor:
    return 0.5 * (z + (z * z + 4).sqrt())


def _weighted_sum(weights: Float[Tensor, "inputs"], values: Sequence[Tensor]) -> Tensor:
    # By components, which a compiler fuses with what comes before and after over any number of cells.
    first, *others = (weight * value for weight, value in zip(weights.unbind(), values, strict=True))
    return sum(others, first)

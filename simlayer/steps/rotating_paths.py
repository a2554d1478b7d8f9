"""Paths of a search along which the cells of a body rotate."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.fem.finite_elements import FiniteElements
from simlayer.linalg.matrix3 import Matrix3, dot
from simlayer.solvers.block_matrix import Assembly
from simlayer.solvers.line_search import STRAIGHT, Path, SearchPaths
from simlayer.solvers.linear import Inverse, SparseDirect
from simlayer.solvers.problem import flattened
from simlayer.solvers.sparsity import SparsityPattern

# With fewer vertices, these paths take longer than the Hessians that they save in a step; with more, factors
# of the Laplacian are large.
_FEWEST_IN_STEPS, _MOST = 1_000, 200_000
# Rotations [rad] whose squares are no strain to speak of.
_STRAIGHT = 1e-4
# The largest rotation [rad] of a cell in one line search: farther away there may be another minimum.
_FARTHEST = 1.5
# Added to the diagonal, relative to it, so that a piece that nothing holds stays where it is.
_SHIFT = 1e-8


class RotatingPaths(SearchPaths):
    """Paths that begin in a given direction, along which cells rotate where they would shear and swell.

    On a straight line, a rotation by an angle φ stretches a cell by φ²/2, which a slender body resists more
    than any bending, so that straight searches take short steps. Here the gradient of the move in
    each cell is split into a spin, by least squares, and the rest; the spin goes on as a rotation, which
    turns the rest with it (as in modal warping: Choi, Ko 2005). The positions are those whose gradients fit
    best to these, by one solve with the Laplacian of the body. At the start, their derivative is the
    direction.

    Args:
        elements: the cells of the body.
        free: which components may move, 1 for those, 0 for others.
        pattern: the sparsity pattern of the step, which keeps the factors of the Laplacian.
    """

    def __init__(
        self, elements: FiniteElements, free: Float[Tensor, "N 3"], pattern: SparsityPattern
    ) -> None:
        self.elements, self.free, self.pattern = elements, free, pattern

    def along(
        self, positions: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> tuple[Path, Float[Tensor, "*batch"]]:
        gradient = self.elements.deformation_gradient(positions)
        rate = self.elements.deformation_gradient(direction)
        axis, angle = _spin(gradient, rate)
        spin = _cross_matrix(axis)
        square, rest = spin @ spin, rate - spin @ gradient

        def path(length: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch N 3"]:
            straight = positions + length[..., None, None] * direction
            turned = length * angle
            if not bool((turned > _STRAIGHT).any()):
                return straight
            # The formula of Rodrigues; sinc(x) = sin(πx)/(πx).
            first = length * torch.sinc(turned / torch.pi)
            second = 0.5 * (length * torch.sinc(turned / (2 * torch.pi))) ** 2
            rotation = (spin * first + square * second).plus_identity()
            wanted = rotation @ (gradient + rest * length)
            return straight + self._fitted(wanted - gradient - rate * length)

        longest = (_FARTHEST / angle.flatten(0, -1 - len(positions.shape[:-2])).amax(0)).clamp(max=1.0)
        return path, longest

    def _fitted(self, gradients: Matrix3) -> Float[Tensor, "*batch N 3"]:
        """Return the move of the free components [m] whose gradients are nearest to these."""
        right = -self.elements.forces(gradients)
        fitted = torch.zeros_like(right)
        for axes, inverse in self.pattern.analysis(RotatingPaths, self._inverses):
            # The equations of one axis are those of all, and stand in the first component.
            columns = flattened(right * self.free)[..., axes].movedim(-1, 0).flatten(0, 1)
            columns = torch.nn.functional.pad(columns[None, ..., None], (0, 2))
            solved = inverse(columns)[0, ..., 0].unflatten(0, (len(axes), -1)).movedim(0, -1)
            fitted[..., axes] = solved.reshape(*right.shape[:-1], len(axes))
        return fitted

    def _inverses(self, pattern: SparsityPattern) -> list[tuple[list[int], Inverse]]:
        """Return groups of axes along which the same vertices are free, and inverses of the Laplacian."""
        masks, groups = self.free.T.unique(dim=0, return_inverse=True)
        return [
            ((groups == group).nonzero().flatten().tolist(), self._inverse(mask, pattern))
            for group, mask in enumerate(masks)
        ]

    def _inverse(self, mask: Float[Tensor, "N"], pattern: SparsityPattern) -> Inverse:
        elements, points = self.elements, torch.from_numpy(pattern.points)
        first = torch.stack([mask, *[torch.zeros_like(mask)] * 2], -1)
        assembly = Assembly([elements.connectivity], first, points)
        tangent = torch.eye(9, dtype=mask.dtype, device=mask.device).expand(*elements.weights.shape, 9, 9)
        matrix = assembly([elements.stiffness_blocks(tangent)[None]], 1)
        matrix.values[:, matrix.pattern.diagonal] *= 1 + _SHIFT
        return SparseDirect().inverse(matrix)


def search_paths(
    elements: FiniteElements, free: Float[Tensor, "N 3"], pattern: SparsityPattern, *, dynamic: bool
) -> SearchPaths:
    """Return the paths that suit a body of this size, in a step with inertia or in statics."""
    fewest = _FEWEST_IN_STEPS if dynamic else 0
    return RotatingPaths(elements, free, pattern) if fewest <= len(free) <= _MOST else STRAIGHT


def _spin(gradient: Matrix3, rate: Matrix3) -> tuple[tuple[Tensor, ...], Tensor]:
    """Return the spin w that makes |rate - w × gradient|² least, and its size."""
    moment, square = rate @ gradient.T, gradient @ gradient.T
    torque = moment.zy - moment.yz, moment.xz - moment.zx, moment.yx - moment.xy
    inertia = (square * -1.0).plus_identity(square.trace())
    inverse = inertia.cofactor()
    scale = 1 / inertia.det().clamp(min=torch.finfo(square.xx.dtype).tiny)
    axis = tuple(dot(inverse.row(i), torque) * scale for i in range(3))
    return axis, dot(axis, axis).sqrt()


def _cross_matrix(axis: tuple[Tensor, ...]) -> Matrix3:
    """Return the matrix of the cross product with a vector."""
    x, y, z = axis
    zero = torch.zeros_like(x)
    return Matrix3(zero, -z, y, z, zero, -x, -y, x, zero)

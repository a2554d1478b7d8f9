"""The rotation of a polar decomposition and the trace of its stretch, without singular values."""

from __future__ import annotations

from torch import Tensor

from simlayer.linalg.matrix3 import Matrix3

# Newton's method falls monotonically from sqrt(3 tr FᵀF) to the largest root; at double precision it is there
# after at most this many steps unless two roots nearly coincide (a cell flattened and turned inside out).
_ITERATIONS = 12


def stretch_trace(F: Matrix3) -> Tensor:
    """Return tr S for F = R S with R a rotation: the largest root of a quartic in the invariants of F.

    The iteration itself carries no gradient. Two further steps do: each squares the error that a frozen
    start leaves in the Taylor expansion, so one makes the first derivative exact, and two the first three.
    """
    C = F.T @ F
    I_C, J = C.trace(), F.det()
    II = 0.5 * (I_C**2 - C.inner(C))
    root = _newton((3 * I_C.detach()).sqrt(), I_C.detach(), II.detach(), J.detach(), _ITERATIONS)
    return _newton(root, I_C, II, J, 2)


def polar_rotation(F: Matrix3) -> Matrix3:
    """Return R for F = R S: the rotation nearest to F, with exact derivatives of two orders, at F = I too.

    Computed as the derivative of tr S with respect to F, in closed form from the quartic that tr S solves.
    """
    C = F.T @ F
    I_C, J, f = C.trace(), F.det(), stretch_trace(F)
    slope = f * (f * f - I_C) - 2 * J  # twice the product of the three sums of two stretches
    return ((f * f + I_C) * F + (2 * f) * F.cofactor() - 2.0 * (F @ C)) * (1 / slope)


def _newton(root: Tensor, I_C: Tensor, II: Tensor, J: Tensor, iterations: int) -> Tensor:
    constant = I_C**2 - 4 * II
    for _ in range(iterations):
        square = root * root
        value = square * square - 2 * I_C * square - 8 * J * root + constant
        slope = 4 * root * (square - I_C) - 8 * J
        root = root - value / slope
    return root

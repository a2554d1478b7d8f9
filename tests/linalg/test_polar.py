"""The trace of the stretch of a polar decomposition, and its derivatives."""

import pytest
import torch
from support.materials import deformations, matrix, rotations

from simlayer.linalg.polar import stretch_trace

pytestmark = pytest.mark.usefixtures("float64")


def signed_stretch_sum(F):
    s = torch.linalg.svdvals(F)
    return s[..., 0] + s[..., 1] + s[..., 2] * torch.linalg.det(F).sign()


def test_the_trace_of_the_stretch_is_the_signed_sum_of_singular_values():
    stretched = deformations(200, stretches=(0.2, 3.0))
    # Inverted cells too, as long as the smallest stretch is well apart from the second.
    s = torch.tensor([1.5, 1.0, -0.6]).expand(200, 1, 3)
    inverted = (rotations(200) * s) @ rotations(200)
    for F in (stretched, inverted):
        # A root of a quartic with coefficients up to 3^4 that is simple: rounding times the condition.
        assert torch.allclose(stretch_trace(matrix(F)), signed_stretch_sum(F), rtol=1e-12, atol=0)


def test_the_trace_of_the_stretch_is_right_over_ten_orders_of_magnitude():
    scale = 10.0 ** torch.arange(-5.0, 6.0)[:, None, None]
    F = scale * deformations(11)
    assert torch.allclose(stretch_trace(matrix(F)), signed_stretch_sum(F), rtol=1e-12, atol=0)


def test_the_trace_of_the_stretch_of_strongly_stretched_cells_is_right():
    # Random matrices of order one, the flat, needle-like and inverted included.
    F = torch.randn(2000, 3, 3)
    s = torch.linalg.svdvals(F)
    # The two largest roots are 2 (s2 + s3) apart, with the sign of det F on s3; close roots are found
    # to the square root of the rounding.
    gap = s[:, 1] + s[:, 2] * torch.linalg.det(F).sign()
    separate = gap > 0.1 * s[:, 0]
    assert separate.sum() > 1000
    got, exact = stretch_trace(matrix(F)), signed_stretch_sum(F)
    assert torch.allclose(got[separate], exact[separate], rtol=1e-10, atol=0)
    # The rest is met to the accuracy that 14 steps of linear convergence leave.
    assert torch.allclose(got, exact, rtol=2e-2, atol=0)


def test_the_trace_of_the_stretch_has_exact_derivatives_of_three_orders():
    for F in (deformations(), torch.eye(3), 1.3 * rotations(), rotations() * torch.tensor([1.5, 1.0, -0.6])):
        point = tuple(x.clone().requires_grad_() for x in F.flatten().unbind())

        def first(*x):
            return torch.autograd.grad(
                stretch_trace(matrix(torch.stack(x).reshape(3, 3))), x, create_graph=True
            )

        assert torch.autograd.gradcheck(lambda *x: stretch_trace(matrix(torch.stack(x).reshape(3, 3))), point)
        assert torch.autograd.gradcheck(first, point)
        assert torch.autograd.gradgradcheck(first, point)


def test_the_derivative_of_the_trace_of_the_stretch_is_the_rotation():
    U, V = rotations(20), rotations(20)
    F = ((U * torch.tensor([1.4, 1.4, 0.8])) @ V).requires_grad_()
    (R,) = torch.autograd.grad(stretch_trace(matrix(F)).sum(), F)
    assert torch.allclose(R, U @ V, rtol=0, atol=1e-12)

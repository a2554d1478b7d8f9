"""The squared logarithmic strain and its derivatives, where stretches coincide too."""

import pytest
import torch
from support.materials import matrix

from simlayer.linalg.log_strain import squared_log_strain

pytestmark = pytest.mark.usefixtures("float64")


def strain_of(F):
    return squared_log_strain(matrix(F @ F.mT))


def test_it_is_the_sum_over_eigenvalues():
    F = torch.eye(3) + 0.5 * torch.randn(20, 3, 3)
    expected = (torch.linalg.eigvalsh(F @ F.mT).log() / 2).square().sum(-1)
    assert torch.allclose(strain_of(F), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "stretches",
    [(1.3, 1.0, 0.7), (1.0, 1.0, 1.0), (2.0, 2.0, 0.5), (1.1, 1.1 + 1e-7, 0.9), (1.1, 1.105, 0.9)],
)
def test_derivatives_are_those_of_finite_differences(stretches):
    turn = torch.linalg.qr(torch.randn(3, 3)).Q
    F = (turn @ torch.diag(torch.tensor(stretches)) @ turn.T)[None].requires_grad_()
    assert torch.autograd.gradcheck(strain_of, (F,))
    assert torch.autograd.gradgradcheck(strain_of, (F,))


def test_third_derivatives_at_rest_are_those_of_the_series():
    # ln(1 + s)² = s² - s³ + ..., in one direction.
    s = torch.zeros(1, requires_grad=True)
    F = torch.eye(3)[None] + s[:, None, None] * torch.diag(torch.tensor([1.0, 0.0, 0.0]))
    derivative = strain_of(F)
    for expected in (0.0, 2.0, -6.0):
        (derivative,) = torch.autograd.grad(derivative.sum(), s, create_graph=True)
        assert float(derivative.detach()) == pytest.approx(expected, abs=1e-9)

import pytest
import torch
from support.scenes import noise
from torch.autograd import gradcheck

from simlayer.linalg.symmetric_log import symmetric_log

pytestmark = pytest.mark.usefixtures("float64")


def with_eigenvalues(*values):
    basis = torch.linalg.qr(noise(3, 3)).Q
    return basis @ torch.tensor(values).diag() @ basis.mT


def test_its_exponential_is_the_matrix():
    matrices = torch.stack([with_eigenvalues(0.5, 1.0, 4.0), with_eigenvalues(2.0, 2.0, 3.0)])
    torch.testing.assert_close(torch.matrix_exp(symmetric_log(matrices)), matrices, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("gap", [0.0, 1e-12, 1e-6, 1e-3, 2e-3, 0.5])
def test_derivatives_are_exact_however_near_two_eigenvalues_are(gap):
    matrix = with_eigenvalues(1.5, 1.5 * (1 + gap), 0.7)
    assert gradcheck(lambda A: symmetric_log(0.5 * (A + A.mT)), (matrix.requires_grad_(),))
    direction = noise(3, 3, seed=1)
    direction = direction + direction.mT
    along = torch.func.jvp(symmetric_log, (matrix.detach(),), (direction,))[1]
    h = 1e-5
    expected = (symmetric_log(matrix + h * direction) - symmetric_log(matrix - h * direction)) / (2 * h)
    torch.testing.assert_close(along, expected.detach(), rtol=1e-7, atol=1e-8)

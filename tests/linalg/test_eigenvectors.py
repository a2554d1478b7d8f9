"""Eigenvectors by elementwise operations: they diagonalise, whatever the eigenvalues."""

import pytest
import torch
from support.materials import array, matrix, rotations

from simlayer.linalg.eigenvectors import eigenvectors

pytestmark = pytest.mark.usefixtures("float64")

VALUES = {
    "different": torch.rand(2000, 3, generator=torch.Generator().manual_seed(0)),
    "equal": torch.tensor([1.3, 1.3, 1.3]).expand(100, 3),
    "two equal": torch.tensor([0.2, 1.3, 1.3]).expand(100, 3),
    "near": torch.tensor([1.0, 1 + 1e-9, 1 - 3e-9]).expand(100, 3),
    "of any size": torch.tensor([1.0, 1e-5, 1e-10]).expand(100, 3),
    "zero": torch.tensor([0.0, 0.0, 0.0]).expand(10, 3),
    "of any sign": torch.tensor([1.0, -2.0, 0.0]).expand(100, 3),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_the_columns_are_orthonormal_and_diagonalise_the_matrix(values, dtype):
    Q = rotations(len(values))
    S = ((Q * values[:, None].double()) @ Q.mT).to(dtype)
    V = array(eigenvectors(matrix((S + S.mT) / 2)))
    D = V.mT @ S @ V
    off = D - torch.diag_embed(D.diagonal(dim1=-2, dim2=-1))
    # Twelve rotations, each with a few roundings.
    close = 20 * torch.finfo(dtype).eps
    assert V.dtype == dtype
    assert off.abs().max() <= close * (1 + values.abs().max())
    assert (V.mT @ V - torch.eye(3, dtype=dtype)).abs().max() <= close


def test_a_diagonal_matrix_has_the_axes_as_eigenvectors_to_the_last_bit():
    V = array(eigenvectors(matrix(torch.diag(torch.tensor([2.0, 1.0, 3.0])))))
    assert torch.equal(V, torch.eye(3))


def test_no_gradient_passes_through_the_eigenvectors():
    S = torch.diag(torch.tensor([2.0, 1.0, 3.0])).requires_grad_()
    assert not any(component.requires_grad for component in eigenvectors(matrix(S)))

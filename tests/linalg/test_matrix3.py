"""The algebra of matrix fields against torch.linalg."""

import pytest
import torch
from support.materials import array, matrix

from simlayer import Matrix3

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def A():
    return torch.randn(4, 2, 3, 3)


@pytest.fixture
def B():
    return torch.randn(4, 2, 3, 3)


def test_components_are_named_by_row_and_column(A):
    M = matrix(A)
    for name, component in M._asdict().items():
        i, j = ("xyz".index(axis) for axis in name)
        assert torch.equal(component, A[..., i, j])
    for i in range(3):
        assert torch.equal(torch.stack(M.row(i), -1), A[..., i, :])
        assert torch.equal(torch.stack(M.column(i), -1), A[..., :, i])


def test_a_matrix_is_made_of_its_columns(A):
    M = matrix(A)
    assert torch.equal(array(Matrix3.from_columns(*(M.column(j) for j in range(3)))), A)


def test_sums_and_scalings_are_those_of_components(A, B):
    scale = torch.randn(4, 2)
    assert torch.equal(array(matrix(A) + matrix(B)), A + B)
    assert torch.equal(array(matrix(A) - matrix(B)), A - B)
    assert torch.equal(array(matrix(A) * scale), A * scale[..., None, None])
    assert torch.equal(array(scale * matrix(A)), A * scale[..., None, None])
    assert torch.equal(array(2.0 * matrix(A)), 2 * A)


def test_products_transposes_and_traces_are_those_of_linear_algebra(A, B):
    # Sums of three products of numbers of order one, in an order that torch does not promise.
    close = {"rtol": 0, "atol": 1e-14}
    assert torch.allclose(array(matrix(A) @ matrix(B)), A @ B, **close)
    assert torch.equal(array(matrix(A).T), A.mT)
    assert torch.allclose(matrix(A).inner(matrix(B)), (A * B).sum((-1, -2)), **close)
    assert torch.allclose(matrix(A).trace(), A.diagonal(dim1=-2, dim2=-1).sum(-1), **close)


def test_the_identity_is_added_once_or_scaled(A):
    scale = torch.randn(4, 2)
    assert torch.equal(array(matrix(A).plus_identity()), A + torch.eye(3))
    assert torch.equal(array(matrix(A).plus_identity(-1.0)), A - torch.eye(3))
    assert torch.equal(array(matrix(A).plus_identity(scale)), A + scale[..., None, None] * torch.eye(3))


def test_the_determinant_is_that_of_linear_algebra(A):
    # Six products of three numbers below 4; the elimination in torch.linalg rounds as much.
    assert torch.allclose(matrix(A).det(), torch.linalg.det(A), rtol=0, atol=1e-13)


def test_the_cofactor_is_the_determinant_times_the_inverse_transpose(A):
    expected = torch.linalg.det(A)[..., None, None] * torch.linalg.inv(A).mT
    # The inverse loses the condition of the matrix, here below 1e3.
    assert torch.allclose(array(matrix(A).cofactor()), expected, rtol=0, atol=1e-12)


def test_the_cofactor_is_the_derivative_of_the_determinant(A):
    A.requires_grad_()
    (derivative,) = torch.autograd.grad(matrix(A).det().sum(), A)
    assert torch.allclose(array(matrix(A).cofactor()), derivative, rtol=0, atol=1e-14)


SINGULAR = {
    "zero": torch.zeros(3, 3),
    "rank one": torch.outer(torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.3, 0.0, 2.0])),
    "rank two": torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]),
    "identity": torch.eye(3),
}


@pytest.mark.parametrize("F", SINGULAR.values(), ids=SINGULAR)
def test_the_determinant_has_exact_derivatives_at_singular_matrices(F):
    F = F.double().requires_grad_()

    def det(F):
        return matrix(F).det()

    assert torch.autograd.gradcheck(det, F)
    assert torch.autograd.gradgradcheck(det, F)
    # d²J/dF² : (D, D) = 2 cof(D) : F for any D, since the determinant is trilinear in its columns.
    D = torch.randn(3, 3)
    H = torch.autograd.functional.hessian(det, F.detach())
    second = torch.einsum("ij,ijkl,kl->", D, H, D)
    # Sums of a few products of numbers below 10.
    assert torch.allclose(second, 2 * (array(matrix(D).cofactor()) * F).sum(), rtol=0, atol=1e-12)

"""Directions between two Hessians."""

import pytest
import torch

from simlayer.solvers.quasi_newton import InverseUpdates

pytestmark = pytest.mark.usefixtures("float64")

SIZE = 12


def positive(samples):
    factor = torch.randn(samples, SIZE, SIZE)
    return factor @ factor.mT + torch.eye(SIZE)


def product(matrices):
    """Products of a matrix for each sample with vectors `(B, N, 3)`."""
    return lambda vectors: (matrices @ vectors.flatten(1)[..., None]).view_as(vectors)


def dense(inverse, samples):
    """The matrices of an inverse, column by column."""
    units = torch.eye(SIZE).view(SIZE, 1, SIZE // 3, 3).expand(-1, samples, -1, -1)
    return torch.stack([inverse(unit).flatten(1) for unit in units], -1)


@pytest.mark.parametrize("pairs", [1, 3])
def test_an_updated_inverse_is_the_formula_of_bfgs_sample_by_sample(pairs):
    H = positive(2)
    inverse, matrices = InverseUpdates(product(H)), positive(2)
    for _ in range(pairs):
        s = torch.randn(2, SIZE // 3, 3)
        y = product(matrices)(s)
        inverse.update(s, y)
        # Broyden, Fletcher, Goldfarb, Shanno 1970: (I - r s yᵀ) H (I - r y sᵀ) + r s sᵀ.
        s, y = s.flatten(1)[..., None], y.flatten(1)[..., None]
        r = 1 / (s.mT @ y)
        left = torch.eye(SIZE) - r * s @ y.mT
        H = left @ H @ left.mT + r * s @ s.mT
    torch.testing.assert_close(dense(inverse, 2), H, rtol=1e-9, atol=1e-9 * float(H.abs().max()))


def test_an_updated_inverse_maps_the_last_change_to_the_last_move():
    inverse, matrices = InverseUpdates(product(positive(2))), positive(2)
    for _ in range(3):
        move = torch.randn(2, SIZE // 3, 3)
        inverse.update(move, product(matrices)(move))
    torch.testing.assert_close(inverse(product(matrices)(move)), move, rtol=1e-8, atol=1e-8)


def test_a_pair_without_positive_curvature_changes_its_own_sample_in_nothing():
    H, vectors = positive(2), torch.randn(2, SIZE // 3, 3)
    inverse, move = InverseUpdates(product(H)), torch.randn(2, SIZE // 3, 3)
    inverse.update(move, move * torch.tensor([1.0, -1.0])[:, None, None])
    updated, plain = inverse(vectors), product(H)(vectors)
    assert torch.equal(updated[1], plain[1])
    assert not torch.allclose(updated[0], plain[0])

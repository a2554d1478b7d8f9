"""The nearest positive semi-definite matrix."""

import pytest
import torch

from simlayer.linalg.semidefinite import semidefinite_part

pytestmark = pytest.mark.usefixtures("float64")


def symmetric(*batch, shift=0.0):
    matrices = torch.randn(*batch, 9, 9, generator=torch.Generator().manual_seed(0))
    return matrices + matrices.mT + shift * torch.eye(9)


def test_it_has_the_positive_eigenvalues_and_vectors_of_the_matrix():
    matrices = symmetric(4, 5)
    part = semidefinite_part(matrices)
    rest = part - matrices
    zero = 1e-13 * float(matrices.abs().max())
    assert float(torch.linalg.eigvalsh(part).min()) > -zero
    assert float(torch.linalg.eigvalsh(rest).min()) > -zero
    torch.testing.assert_close(part @ rest, torch.zeros_like(part), rtol=0, atol=10 * zero)
    assert bool((rest.abs().amax((-1, -2)) > 0.1).all())


def test_positive_definite_matrices_stay_as_they_are_among_others():
    matrices = torch.cat([symmetric(3, shift=20.0), symmetric(2)])
    part = semidefinite_part(matrices)
    assert torch.equal(part[:3], matrices[:3])
    assert not torch.equal(part[3:], matrices[3:])


@pytest.mark.parametrize(
    "matrices", [torch.zeros(2, 3, 3), torch.zeros(0, 9, 9), -torch.eye(3)], ids=["zero", "none", "negative"]
)
def test_nothing_positive_leaves_zero(matrices):
    assert torch.equal(semidefinite_part(matrices).abs(), torch.zeros_like(matrices))

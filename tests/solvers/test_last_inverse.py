"""The last inverse of a search."""

import pytest
import torch

from simlayer import ConjugateGradients, SparseDirect, box_mesh
from simlayer.solvers.block_matrix import Assembly
from simlayer.solvers.last_inverse import LastInverse

pytestmark = pytest.mark.usefixtures("float64_throughout")

ALL = {"bytes": torch.inf, "products": 0.0}


@pytest.fixture
def matrix():
    mesh = box_mesh(cells=(4, 2, 2))
    free = torch.ones(len(mesh.vertices), 3)
    free[mesh.vertex_sets["x_min"]] = 0
    root = torch.randn(2, len(mesh.cells), 12, 12)
    return Assembly([mesh.cells], free, mesh.vertices)([root @ root.mT + torch.eye(12)], 2)


def test_an_inverse_is_made_again_from_what_was_kept(matrix):
    solver = LastInverse(SparseDirect())
    assert solver.kept(**ALL) == ()
    inverse = solver.inverse(matrix)
    kept = solver.kept(**ALL)
    assert len(kept) == 2
    right = torch.randn(2, len(matrix.pattern.diagonal), 3)
    assert torch.equal(SparseDirect().restored(matrix.pattern, kept)(right), inverse(right))
    size = sum(tensor.nbytes for tensor in kept)
    assert solver.kept(bytes=size, products=0) == kept
    assert solver.kept(bytes=size - 1, products=0) == ()


def test_nothing_is_kept_where_a_factor_is_cheap_or_there_is_none(matrix):
    solver = LastInverse(SparseDirect())
    products = solver.inverse(matrix).products
    assert products > 0
    assert solver.kept(bytes=torch.inf, products=products)
    assert solver.kept(bytes=torch.inf, products=1.01 * products) == ()
    solver = LastInverse(ConjugateGradients())
    solver.inverse(matrix)
    assert solver.kept(**ALL) == ()
    with pytest.raises(NotImplementedError, match="ConjugateGradients keep nothing"):
        ConjugateGradients().restored(matrix.pattern, ())


def test_a_matrix_that_is_not_positive_definite_leaves_nothing(matrix):
    solver = LastInverse(SparseDirect())
    solver.inverse(matrix._replace(values=torch.stack([matrix.values[0], -matrix.values[1]])))
    assert solver.kept(**ALL) == ()

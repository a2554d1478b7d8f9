"""Linear solvers."""

import logging

import pytest
import torch

from simlayer import ConjugateGradients, SparseDirect, box_mesh
from simlayer.solvers import linear
from simlayer.solvers.block_matrix import Assembly
from simlayer.solvers.fronts import FrontTree
from simlayer.solvers.linear import solver_for

pytestmark = pytest.mark.usefixtures("float64_throughout")

SOLVERS = [ConjugateGradients(), SparseDirect()]
MESH = box_mesh(cells=(4, 2, 2))


def assembly():
    free = torch.ones(len(MESH.vertices), 3)
    free[MESH.vertex_sets["x_min"]] = 0
    return Assembly([MESH.cells], free, MESH.vertices)


def blocks(*, dtype=torch.float64, shifts=(1.0, 1.0)):
    """Random blocks for two samples, positive but for what is added on the diagonal."""
    root = torch.randn(2, len(MESH.cells), 12, 12, dtype=dtype)
    return root @ root.mT + torch.tensor(shifts, dtype=dtype)[:, None, None, None] * torch.eye(12).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_factors_of_either_precision_are_in_double_precision_sample_by_sample(dtype):
    found = assembly().to(dtype)([blocks(dtype=dtype)], 2)
    right = torch.randn(2, len(MESH.vertices), 3)
    solved = SparseDirect().inverse(found)(right)
    for sample in range(2):
        dense = torch.from_numpy(found.to_scipy(sample).toarray())
        exact = torch.linalg.solve(dense, right[sample].flatten()).view_as(right[sample])
        torch.testing.assert_close(solved[sample], exact, rtol=0, atol=1e-11 * float(exact.abs().max()))


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: type(solver).__name__)
def test_several_vectors_of_a_sample_are_solved_at_once(solver):
    inverse = solver.inverse(assembly()([blocks()], 2))
    right = torch.randn(2, 4, 3, len(MESH.vertices), 3)
    together = inverse(right)
    assert together.shape == right.shape
    alone = inverse(right[:, 1, 2].contiguous())
    torch.testing.assert_close(together[:, 1, 2], alone, rtol=0, atol=1e-12 * float(alone.abs().max()))


def test_samples_that_are_not_positive_definite_are_marked_and_inverted_all_the_same():
    # So much less on the diagonal that sample 1 is negative along some direction, but not along all.
    matrix = assembly()([blocks(shifts=(1.0, -20.0))], 2)
    smallest, largest = torch.linalg.eigvalsh(torch.from_numpy(matrix.to_scipy(1).toarray()))[[0, -1]]
    assert smallest < 0 < largest
    inverse = SparseDirect().inverse(matrix)
    assert inverse.positive.tolist() == [True, False]
    right = torch.randn(2, len(MESH.vertices), 3)
    # The second as exact as pivots from the diagonal allow.
    torch.testing.assert_close(matrix.multiplication()(inverse(right)), right, rtol=0, atol=1e-6)


def test_a_pattern_is_analysed_once_for_all_its_matrices_and_solvers(monkeypatch):
    calls = []

    class Counted(FrontTree):
        def __init__(self, pattern):
            calls.append(pattern)
            super().__init__(pattern)

    monkeypatch.setattr(linear, "FrontTree", Counted)
    adding = assembly()
    solver_for(adding.pattern, dynamic=False)
    for _ in range(3):
        SparseDirect().inverse(adding([blocks()], 2))
    assert calls == [adding.pattern]


def test_the_solver_is_chosen_by_its_work_and_the_choice_is_logged(caplog, monkeypatch):
    pattern = assembly().pattern
    with caplog.at_level(logging.INFO):
        assert solver_for(pattern, dynamic=True) == SparseDirect()
    assert "SparseDirect for 108 unknowns: a factor takes some" in caplog.text
    for name, value in {"_LARGEST_FACTOR": 0, "_ANALYSED": 100}.items():
        with monkeypatch.context() as patch:
            patch.setattr(linear, name, value)
            assert solver_for(pattern, dynamic=True) == ConjugateGradients()


def test_a_thick_body_takes_factors_in_statics_and_products_in_steps():
    mesh = box_mesh(cells=(24, 24, 24))
    pattern = Assembly([mesh.cells], torch.ones_like(mesh.vertices), mesh.vertices).pattern
    assert isinstance(solver_for(pattern, dynamic=False), SparseDirect)
    assert solver_for(pattern, dynamic=True) == ConjugateGradients()

"""Sparse Cholesky factors."""

import numpy as np
import pytest
import torch

from simlayer import ElasticForce, NeoHookean, box_mesh
from simlayer.solvers import fronts
from simlayer.solvers.block_matrix import Assembly
from simlayer.solvers.fronts import FrontTree
from simlayer.solvers.multifrontal import CholeskyFactor, NotPositiveDefiniteError

pytestmark = pytest.mark.usefixtures("float64_throughout")


@pytest.fixture(autouse=True)
def small_fronts(monkeypatch):
    """So many fronts in small meshes that there are several levels of them."""
    monkeypatch.setattr(fronts, "_LARGEST_LEAF", 6)


def tangent(element="tet4", *, poissons_ratio=0.3, cells=(6, 2, 2)):
    """The stiffness of a clamped bar, part of which only slides."""
    mesh = box_mesh(cells=cells, size=(0.3, 0.1, 0.1), element=element)
    free = torch.ones_like(mesh.vertices)
    free[mesh.vertex_sets["x_min"]] = 0
    free[mesh.vertex_sets["z_max"], 2] = 0
    term = ElasticForce(mesh, NeoHookean(1e5, poissons_ratio)).term(mesh.vertices, mesh.vertices)
    blocks = term.hessian_blocks(mesh.vertices, projected=False)
    return Assembly([mesh.cells], free, mesh.vertices)([blocks[None]], 1)


def blocks_of(matrix):
    return matrix.values[0].numpy()


@pytest.mark.parametrize("poissons_ratio", [0.3, 0.4999])
@pytest.mark.parametrize("element", ["tet4", "hex8", "tet10", "hex20"])
def test_a_factor_solves_as_a_dense_solve_does(element, poissons_ratio):
    matrix = tangent(element, poissons_ratio=poissons_ratio)
    dense = matrix.to_scipy(0).toarray()
    tree = FrontTree(matrix.pattern)
    assert len(tree.fronts) > 5
    right = np.random.default_rng(0).standard_normal((len(dense), 3))
    found = CholeskyFactor(tree, blocks_of(matrix)).solve(right)
    free = matrix.pattern.free.numpy().ravel()
    # Backward stable: some rounding errors of the size of the matrix times that of the solution.
    residual = (dense @ found - right)[free]
    assert np.abs(residual).max() < 1e-14 * np.abs(dense).sum(1).max() * np.abs(found).max()
    np.testing.assert_array_equal(found[~free], right[~free])
    one = CholeskyFactor(tree, blocks_of(matrix)).solve(right[:, :1])
    np.testing.assert_allclose(one, found[:, :1], rtol=0, atol=1e-9 * np.abs(found).max())


def test_a_pattern_without_points_and_with_vertices_of_no_element_is_solved_too():
    torch.manual_seed(0)
    cells = torch.randint(30, (40, 4))
    free = torch.ones(33, 3)
    free[3] = 0
    root = torch.randn(40, 12, 12)
    blocks = root @ root.mT + torch.eye(12)
    matrix = Assembly([cells], free)([blocks[None]], 1)
    matrix.values[0, matrix.pattern.diagonal] += torch.diag_embed(free)
    dense = matrix.to_scipy(0).toarray()
    right = np.random.default_rng(0).standard_normal((99, 1))
    found = CholeskyFactor(FrontTree(matrix.pattern), blocks_of(matrix)).solve(right)
    np.testing.assert_allclose(found, np.linalg.solve(dense, right), rtol=1e-9, atol=1e-10)


def test_what_is_not_positive_definite_has_no_factor_wherever_that_shows():
    matrix = tangent()
    tree, diagonal = FrontTree(matrix.pattern), matrix.pattern.diagonal.numpy()
    for front in tree.fronts:
        values = blocks_of(matrix).copy()
        vertex, axis = divmod(int(tree.components[front.start]), 3)
        values[diagonal[vertex], axis, axis] *= -1e-3
        with pytest.raises(NotPositiveDefiniteError):
            CholeskyFactor(tree, values)
    values = blocks_of(matrix).copy()
    values[diagonal[-1]] = np.nan
    with pytest.raises(NotPositiveDefiniteError):
        CholeskyFactor(tree, values)


def test_a_factor_is_the_same_from_run_to_run():
    matrix = tangent("hex8")
    right = np.random.default_rng(0).standard_normal((matrix.pattern.free.numel(), 1))
    first, second = (
        CholeskyFactor(FrontTree(matrix.pattern), blocks_of(matrix)).solve(right) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_nothing_free_leaves_the_identity():
    mesh = box_mesh(cells=(1, 1, 1))
    matrix = Assembly([mesh.cells], torch.zeros(8, 3))([torch.ones(1, 6, 12, 12)], 1)
    right = np.arange(24.0)[:, None]
    factor = CholeskyFactor(FrontTree(matrix.pattern), blocks_of(matrix))
    np.testing.assert_array_equal(factor.solve(right), right)


def test_the_counted_operations_are_those_of_a_dense_factor_where_there_is_one_front(monkeypatch):
    monkeypatch.setattr(fronts, "_LARGEST_LEAF", 1000)
    tree = FrontTree(tangent().pattern)
    n = len(tree.components)
    assert [front.width for front in tree.fronts] == [n]
    assert (tree.entries, tree.operations, tree.workspace) == (n * n, n**3 / 3, 0)

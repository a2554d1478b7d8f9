"""Sparse matrices, linear solvers, Newton's method and derivatives of solutions."""

import math

import pytest
import torch

from simlayer import ConjugateGradients, ConvergenceError, NewtonSolver, SparseDirect
from simlayer.autodiff.implicit_function import ImplicitFunction
from simlayer.solvers.block_matrix import Assembly
from simlayer.solvers.conjugate_gradients import conjugate_gradients
from simlayer.solvers.problem import MinimizationProblem, Residual, Tangent

pytestmark = pytest.mark.usefixtures("float64_throughout")

CELLS = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])
EVERY = torch.arange(5)[:, None]
SOLVERS = [ConjugateGradients(), SparseDirect()]


def free():
    mask = torch.ones(5, 3)
    mask[0] = 0
    mask[2, 1] = 0
    return mask


def positive_blocks(samples=2):
    factor = torch.randn(samples, 2, 12, 12)
    return factor @ factor.mT


def lumped(diagonal):
    return diagonal[..., None, None] * torch.eye(3)


def dense(blocks, diagonal, mask):
    """The same sum, entry by entry."""
    total = torch.diag_embed(diagonal.repeat_interleave(3, -1))
    for cell, corners in enumerate(CELLS.tolist()):
        rows = torch.tensor([3 * v + i for v in corners for i in range(3)])
        for sample in range(len(blocks)):
            total[sample, rows[:, None], rows] += blocks[sample, cell]
    held = 1 - mask.flatten()
    return total * mask.flatten()[:, None] * mask.flatten() + torch.diag(held)


@pytest.fixture
def system():
    blocks, diagonal = positive_blocks(), torch.rand(2, 5) + 1
    matrix = Assembly([CELLS, EVERY], free())([blocks, lumped(diagonal)], 2)
    return matrix, dense(blocks, diagonal, free())


def test_an_assembled_matrix_is_the_sum_of_its_blocks_with_rows_of_the_identity_for_what_is_fixed(system):
    matrix, expected = system
    vectors = torch.randn(2, 5, 3)
    product = matrix.multiplication()(vectors).flatten(1)
    # Sums of some twenty terms of size ten.
    torch.testing.assert_close(
        product, torch.einsum("bij,bj->bi", expected, vectors.flatten(1)), rtol=0, atol=1e-12
    )
    for sample in range(2):
        found = torch.from_numpy(matrix.to_scipy(sample).toarray())
        torch.testing.assert_close(found, expected[sample], rtol=0, atol=1e-12)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: type(solver).__name__)
def test_a_solver_solves_each_sample_by_itself(system, solver):
    matrix, expected = system
    right = torch.randn(2, 5, 3)
    right[1] *= 1e6  # a sample that is no measure for the other
    found = conjugate_gradients(
        matrix.multiplication(), right, solver.inverse(matrix), tolerance=1e-12, max_iterations=200
    )
    exact = torch.linalg.solve(expected, right.flatten(1)[..., None]).view_as(right)
    torch.testing.assert_close(found.vectors, exact, rtol=1e-8, atol=1e-10)
    assert not found.indefinite.any()
    assert bool((found.residual < 1e-11).all())


def test_an_indefinite_matrix_is_noticed_and_the_direction_still_descends():
    blocks = torch.stack([torch.eye(12), -2 * torch.eye(12)])[:, None].expand(2, 2, 12, 12).contiguous()
    matrix = Assembly([CELLS], torch.ones(5, 3))([blocks], 2)
    right = torch.randn(2, 5, 3)
    found = conjugate_gradients(
        matrix.multiplication(), right, lambda v: v, tolerance=1e-9, max_iterations=50
    )
    assert found.indefinite.tolist() == [False, True]
    assert bool(((found.vectors * right).sum((1, 2)) > 0).all())


class DoubleWell(MinimizationProblem):
    """The sum over components of (x² - 1)²/4 - f x, which is not convex near zero."""

    def __init__(self, force):
        self.force = force
        self.assembly = Assembly([], torch.ones(5, 3))

    def value(self, positions):
        return ((positions**2 - 1) ** 2 / 4 - self.force * positions).sum((-1, -2))

    def residual(self, positions):
        gradient = positions * (positions**2 - 1) - self.force
        return Residual(gradient, self.force.abs().amax((-1, -2)))

    def tangent(self, positions, *, projected):
        curvature = (3 * positions**2 - 1).clamp(min=1e-3 if projected else -10.0)
        matrix = self.assembly([], 2)
        matrix.values[:, matrix.pattern.diagonal] = torch.diag_embed(curvature)
        return Tangent(matrix, None)


def test_newtons_method_finds_a_minimum_from_where_the_energy_is_not_convex():
    force = 0.1 * torch.rand(2, 5, 3) + 0.05
    found = NewtonSolver().minimize(DoubleWell(force), 0.01 * torch.randn(2, 5, 3), SparseDirect())
    # Polished: far below the tolerance of 1e-6.
    torch.testing.assert_close(found**3 - found, force, rtol=0, atol=1e-9)
    assert bool((3 * found**2 > 1).all())


def test_newtons_method_raises_with_its_history_rather_than_return_its_last_iterate():
    with pytest.raises(ConvergenceError, match=r"did not converge of sample \(0,\): after 2 iter") as error:
        NewtonSolver(max_iterations=2).minimize(
            DoubleWell(torch.full((2, 5, 3), 0.1)), torch.zeros(2, 5, 3), SparseDirect()
        )
    assert len(error.value.history) == 3
    assert "gradient" in error.value.history[0]


class Hill(DoubleWell):
    """The sum of -x²/2, which falls for ever."""

    max_displacement = 1e3

    def value(self, positions):
        return -positions.square().sum((-1, -2)) / 2

    def residual(self, positions):
        return Residual(-positions, positions.abs().amax((-1, -2)))

    def tangent(self, positions, *, projected):
        matrix = self.assembly([], 2)
        matrix.values[:, matrix.pattern.diagonal] = torch.eye(3) * (1e-2 if projected else -1.0)
        return Tangent(matrix, None)


def test_an_energy_without_a_minimum_is_reported_and_never_a_far_away_state():
    with pytest.raises(ConvergenceError, match="the energy falls without end"):
        NewtonSolver().minimize(Hill(torch.zeros(2, 5, 3)), torch.randn(2, 5, 3), SparseDirect())


class CubeRoot(ImplicitFunction):
    """x with x³ + x = a + b, by itself for every component."""

    def find(self, a, b):
        x = torch.zeros_like(a + b)
        for _ in range(60):
            x = x - (x**3 + x - a - b) / (3 * x**2 + 1)
        return x

    def residual(self, positions, a, b):
        return positions**3 + positions - a - b

    def solve(self, positions, right, *inputs):
        return right / (3 * positions**2 + 1)


def test_the_derivative_of_a_root_is_right_backward_and_forward():
    root = CubeRoot()
    a, b = torch.randn(2, 3, requires_grad=True), torch.randn(3, requires_grad=True)
    torch.autograd.gradcheck(root, (a, b), check_forward_ad=True)


def test_a_root_refuses_a_second_derivative():
    a = torch.randn(2, 3, requires_grad=True)
    with pytest.raises(RuntimeError, match="differentiated twice"):
        torch.autograd.grad(CubeRoot()(a, torch.zeros(3)).sum(), a, create_graph=True)


@pytest.mark.parametrize("kind", [NewtonSolver, SparseDirect, ConjugateGradients])
@pytest.mark.parametrize("value", [0, -3, True])
def test_a_solver_refuses_a_number_of_iterations_that_is_none(kind, value):
    with pytest.raises((TypeError, ValueError), match="max_iterations must be"):
        kind(max_iterations=value)


@pytest.mark.parametrize("value", [0.0, -1e-6, 1.0, math.nan, math.inf])
def test_a_tolerance_is_a_small_positive_number(value):
    with pytest.raises((TypeError, ValueError), match="tolerance must be"):
        NewtonSolver(tolerance=value)

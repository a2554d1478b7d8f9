"""The elimination of windows: equal to solving the whole system at once."""

from itertools import pairwise

import pytest
import torch

from simlayer.identification.block_tridiagonal import WindowEquations, solve_block_tridiagonal

pytestmark = pytest.mark.usefixtures("float64")


def system(windows, size, shared, seed=0):
    """Equations of random residuals that each depend on the shared values and two neighbouring windows."""
    torch.manual_seed(seed)
    width = shared + windows * size
    J = torch.zeros(windows * (size + shared + 2), width)
    rows = torch.arange(len(J)) * windows // len(J)
    for row, window in enumerate(rows.tolist()):
        first = shared + window * size
        J[row, :shared] = torch.randn(shared)
        J[row, first : min(first + 2 * size, width)] = torch.randn(min(2 * size, width - first))
    r, n = torch.randn(len(J)), torch.tensor(7.0)
    g, H = 2 * J.mT @ r / n, 2 * J.mT @ J / n
    starts = [shared + size * k for k in range(windows)]
    blocks = [slice(first, first + size) for first in starts]
    beside = [H[a, b] for a, b in pairwise(blocks)]
    equations = WindowEquations(
        r.square().sum() / n,
        g[:shared],
        H[:shared, :shared],
        torch.stack([g[part] for part in blocks]),
        torch.stack([H[part, part] for part in blocks]),
        torch.stack(beside) if beside else torch.zeros(0, size, size),
        torch.stack([H[:shared, part] for part in blocks]),
        n,
    )
    return equations, g, H


@pytest.mark.parametrize("windows", [1, 2, 7])
def test_the_solution_is_that_of_the_whole_matrix(windows):
    equations, _, H = system(windows, 3, 0)
    right = torch.randn(windows, 3, 4)
    found = solve_block_tridiagonal(equations.diagonal, equations.beside, right)
    expected = torch.linalg.solve(H, right.flatten(0, 1)).view_as(right)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("windows", [1, 2, 7])
def test_the_step_of_shared_values_and_windows_is_that_of_the_whole_matrix(windows):
    equations, g, H = system(windows, 3, 2)
    reduced = equations.eliminated()
    step = torch.linalg.solve(reduced.equations.curvature, -reduced.equations.gradient)
    whole = torch.linalg.solve(H, -g)
    torch.testing.assert_close(step, whole[:2], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(reduced.windows(step), whole[2:].view(windows, 3), rtol=1e-9, atol=1e-9)
    # The loss at the minimum, as the expansion tells.
    least = equations.loss + g @ whole + whole @ H @ whole / 2
    torch.testing.assert_close(reduced.equations.loss - reduced.equations.reduction(step), least)


def test_the_loss_is_that_with_the_windows_at_their_best_for_values_that_stay():
    equations, g, H = system(4, 3, 2)
    reduced = equations.eliminated()
    change = reduced.windows(torch.zeros(2)).flatten()
    own, curvature = g[2:], H[2:, 2:]
    torch.testing.assert_close(curvature @ change, -own)
    torch.testing.assert_close(
        reduced.equations.loss, equations.loss + own @ change + change @ curvature @ change / 2
    )
    torch.testing.assert_close(reduced.decrement, equations.loss - reduced.equations.loss)

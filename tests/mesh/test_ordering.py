"""Renumbering: a permutation, that brings back what a random one took away."""

import torch

from simlayer.mesh.ordering import cell_order, inverse_order, vertex_order
from simlayer.mesh.primitives import box_mesh


def shuffled_cells():
    mesh = box_mesh(cells=(8, 8, 8))
    generator = torch.Generator().manual_seed(0)
    cells = torch.randperm(len(mesh.vertices), generator=generator)[mesh.cells]
    return cells[torch.randperm(len(cells), generator=generator)], len(mesh.vertices)


def test_orders_are_permutations():
    cells, count = shuffled_cells()
    assert torch.equal(vertex_order(cells, count).sort().values, torch.arange(count))
    assert torch.equal(cell_order(cells).sort().values, torch.arange(len(cells)))


def test_the_inverse_undoes_an_order_and_marks_what_it_leaves_out():
    order = torch.tensor([3, 0, 4])
    assert inverse_order(order, 5).tolist() == [1, -1, -1, 0, 2]


def test_corners_of_a_cell_come_close_together_and_cells_follow_them():
    cells, count = shuffled_cells()
    renumbered = inverse_order(vertex_order(cells, count), count)[cells]
    renumbered = renumbered[cell_order(renumbered)]
    # A plane of the box has 81 vertices; a cell touches two, and the wavefront of the order three at most.
    assert (renumbered.amax(1) - renumbered.amin(1)).max() < 4 * 81
    assert (cells.amax(1) - cells.amin(1)).float().mean() > 400 > 4 * 81
    lowest = renumbered.amin(1)
    assert torch.equal(lowest, lowest.sort().values)


def test_parts_that_do_not_touch_are_all_numbered():
    cells = torch.tensor([[0, 1, 2, 3], [4, 5, 6, 7]])
    assert sorted(vertex_order(cells, 8).tolist()) == list(range(8))

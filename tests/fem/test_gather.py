"""Gathering to nodes and summing to vertices: an adjoint pair, in both ways of summing."""

import pytest
import torch

from simlayer.fem.gather import Gather
from simlayer.mesh.primitives import box_mesh

pytestmark = pytest.mark.usefixtures("float64")

ways = pytest.mark.parametrize("deterministic", [False, True], ids=["scatter", "table"])
batches = pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=["single", "batch", "two batch axes"])
MESH = box_mesh(cells=(2, 1, 1))
N, M = len(MESH.vertices), len(MESH.cells)


def make(deterministic):
    return Gather(MESH.cells, N, deterministic=deterministic).nodes


@pytest.fixture
def threads():
    """Two threads, as many as the smallest machines have."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@ways
@batches
def test_gathering_reads_each_nodes_vertex(deterministic, batch):
    values, nodes = torch.randn(2, N, *batch), make(deterministic)
    expected = values[:, MESH.cells.T]
    assert torch.equal(nodes.gather(values), expected)
    assert torch.equal(torch.stack(list(nodes.gather_each(values)), 1), expected)


@ways
@batches
def test_summing_adds_each_node_to_its_vertex(deterministic, batch):
    values, nodes = torch.randn(2, 4, M, *batch), make(deterministic)
    expected = torch.zeros(2, N, *batch)
    for c in range(4):
        for cell in range(M):
            expected[:, MESH.cells[cell, c]] += values[:, c, cell]
    # At most 24 numbers of order one, added in another order.
    assert torch.allclose(nodes.sum_to_vertices(values), expected, rtol=0, atol=1e-14)
    assert torch.allclose(nodes.sum_each_to_vertices(values.unbind(1)), expected, rtol=0, atol=1e-14)


@ways
@batches
def test_summing_is_the_adjoint_of_gathering(deterministic, batch):
    nodes = make(deterministic)
    values, at_nodes = torch.randn(2, N, *batch), torch.randn(2, 4, M, *batch)
    left = (nodes.gather(values) * at_nodes).sum()
    right = (values * nodes.sum_to_vertices(at_nodes)).sum()
    # Sums of a few hundred numbers of order one.
    assert torch.allclose(left, right, rtol=0, atol=1e-12)


@batches
def test_both_ways_of_summing_agree(batch):
    values = torch.randn(2, 4, M, *batch)
    scatter, table = (make(deterministic).sum_to_vertices(values) for deterministic in (False, True))
    assert torch.allclose(scatter, table, rtol=0, atol=1e-14)


@ways
@batches
def test_derivatives_are_exact_to_second_order(deterministic, batch):
    nodes = make(deterministic)
    values = torch.randn(1, N, *batch, requires_grad=True)
    at_nodes = torch.randn(1, 4, M, *batch, requires_grad=True)
    for function, point in (
        (nodes.gather, values),
        (lambda v: tuple(nodes.gather_each(v)), values),
        (nodes.sum_to_vertices, at_nodes),
        (lambda a: nodes.sum_each_to_vertices(a.unbind(1)), at_nodes),
        # The pair as a force uses it: a nonlinear function at the nodes, summed.
        (lambda v: nodes.sum_to_vertices(nodes.gather(v).sin()), values),
    ):
        assert torch.autograd.gradcheck(function, point, fast_mode=True)
        assert torch.autograd.gradgradcheck(function, point, fast_mode=True)


@ways
def test_forward_mode_and_reverse_mode_agree(deterministic):
    nodes = make(deterministic)

    def function(v):
        return nodes.sum_to_vertices(nodes.gather(v).sin())

    v, dv, w = torch.randn(3, 1, N).unbind()
    _, forward = torch.func.jvp(function, (v,), (dv,))
    (reverse,) = torch.func.vjp(function, v)[1](w)
    assert torch.allclose((forward * w).sum(), (dv * reverse).sum(), rtol=0, atol=1e-13)


@ways
def test_a_map_over_samples_is_the_same_as_a_batch_axis(deterministic):
    nodes = make(deterministic)
    values = torch.randn(1, N, 3)

    def function(v):
        return nodes.sum_to_vertices(nodes.gather(v))

    assert torch.allclose(torch.func.vmap(function, 2, 2)(values), function(values), rtol=0, atol=1e-13)


def test_a_vertex_without_cells_is_summed_to_zero():
    for deterministic in (False, True):
        nodes = Gather(MESH.cells, N + 2, deterministic=deterministic).nodes
        total = nodes.sum_to_vertices(torch.ones(1, 4, M))[0]
        assert torch.equal(total[N:], torch.zeros(2))
        assert total.sum() == 4 * M


@pytest.mark.usefixtures("threads")
def test_sums_through_the_table_are_repeated_to_the_last_bit_on_two_threads():
    mesh = box_mesh(cells=(16, 16, 16))
    nodes = Gather(mesh.cells, len(mesh.vertices), deterministic=True).nodes
    at_nodes = torch.randn(1, 4, len(mesh.cells))
    values = torch.randn(1, len(mesh.vertices), requires_grad=True)

    def run():
        gathered = torch.autograd.grad(nodes.gather(values).square().sum(), values)
        return nodes.sum_to_vertices(at_nodes), *gathered

    first = run()
    for _ in range(10):
        assert all(torch.equal(a, b) for a, b in zip(run(), first, strict=True))


@pytest.mark.usefixtures("threads")
def test_the_way_of_summing_follows_the_number_of_threads_unless_it_is_chosen():
    assert make(None).table is not None
    assert make(False).table is None
    torch.set_num_threads(1)
    assert make(None).table is None
    assert make(True).table is not None

"""Gather to corners and sum to vertices: an adjoint pair, in both ways of summing."""

import pytest
import torch

from simlayer.fem.gather import Topology
from simlayer.mesh.primitives import box_mesh

pytestmark = pytest.mark.usefixtures("float64")

ways = pytest.mark.parametrize("deterministic", [False, True], ids=["scatter", "table"])
batches = pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=["single", "batch", "two batch axes"])
MESH = box_mesh(cells=(2, 1, 1))
N, M = len(MESH.vertices), len(MESH.cells)


def make(deterministic):
    return Topology(MESH.cells, N, deterministic=deterministic)


@pytest.fixture
def threads():
    """Two threads, as many as the smallest machines have."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@ways
@batches
def test_gathering_reads_each_corners_vertex(deterministic, batch):
    values = torch.randn(N, *batch)
    corners = make(deterministic).gather(values)
    assert len(corners) == 4
    for c, corner in enumerate(corners):
        assert torch.equal(corner, values[MESH.cells[:, c]])


@ways
@batches
def test_summing_adds_each_corner_to_its_vertex(deterministic, batch):
    corners = [torch.randn(M, *batch) for _ in range(4)]
    expected = torch.zeros(N, *batch)
    for c in range(4):
        for cell in range(M):
            expected[MESH.cells[cell, c]] += corners[c][cell]
    # At most 24 numbers of order one, added in another order.
    assert torch.allclose(make(deterministic).sum_to_vertices(corners), expected, rtol=0, atol=1e-14)


@ways
@batches
def test_summing_is_the_adjoint_of_gathering(deterministic, batch):
    topology = make(deterministic)
    values, corners = torch.randn(N, *batch), [torch.randn(M, *batch) for _ in range(4)]
    left = sum((a * b).sum() for a, b in zip(topology.gather(values), corners, strict=True))
    right = (values * topology.sum_to_vertices(corners)).sum()
    # Sums of a few hundred numbers of order one.
    assert torch.allclose(left, right, rtol=0, atol=1e-12)


@batches
def test_both_ways_of_summing_agree(batch):
    corners = [torch.randn(M, *batch) for _ in range(4)]
    scatter, table = (make(deterministic).sum_to_vertices(corners) for deterministic in (False, True))
    assert torch.allclose(scatter, table, rtol=0, atol=1e-14)


@ways
@batches
def test_derivatives_are_exact_to_second_order(deterministic, batch):
    topology = make(deterministic)
    values = torch.randn(N, *batch, requires_grad=True)
    corners = tuple(torch.randn(M, *batch, requires_grad=True) for _ in range(4))
    fast = {"fast_mode": True}
    assert torch.autograd.gradcheck(lambda v: tuple(topology.gather(v)), values, **fast)
    assert torch.autograd.gradgradcheck(lambda v: tuple(topology.gather(v)), values, **fast)
    assert torch.autograd.gradcheck(lambda *c: topology.sum_to_vertices(list(c)), corners, **fast)
    assert torch.autograd.gradgradcheck(lambda *c: topology.sum_to_vertices(list(c)), corners, **fast)
    # Of the pair as a force uses it: a nonlinear function of corners, summed.
    assert torch.autograd.gradgradcheck(
        lambda v: topology.sum_to_vertices([c.sin() for c in topology.gather(v)]), values, **fast
    )


@ways
def test_forward_mode_and_reverse_mode_agree(deterministic):
    topology = make(deterministic)

    def function(v):
        return topology.sum_to_vertices([c.sin() for c in topology.gather(v)])

    v, dv, w = torch.randn(3, N).unbind()
    _, forward = torch.func.jvp(function, (v,), (dv,))
    (reverse,) = torch.func.vjp(function, v)[1](w)
    assert torch.allclose((forward * w).sum(), (dv * reverse).sum(), rtol=0, atol=1e-13)


@ways
def test_a_map_over_samples_is_the_same_as_a_batch_axis(deterministic):
    topology = make(deterministic)
    values = torch.randn(N, 3)

    def function(v):
        return topology.sum_to_vertices(topology.gather(v))

    assert torch.allclose(torch.func.vmap(function, 1, 1)(values), function(values), rtol=0, atol=1e-13)


def test_a_vertex_without_cells_is_summed_to_zero():
    for deterministic in (False, True):
        topology = Topology(MESH.cells, N + 2, deterministic=deterministic)
        total = topology.sum_to_vertices([torch.ones(M)] * 4)
        assert torch.equal(total[N:], torch.zeros(2))
        assert total.sum() == 4 * M


@pytest.mark.usefixtures("threads")
def test_sums_through_the_table_are_repeated_to_the_last_bit_on_two_threads():
    mesh = box_mesh(cells=(16, 16, 16))
    topology = Topology(mesh.cells, len(mesh.vertices), deterministic=True)
    corners = [torch.randn(len(mesh.cells)).requires_grad_() for _ in range(4)]
    values = torch.randn(len(mesh.vertices), requires_grad=True)

    def run():
        gathered = torch.autograd.grad(sum(g.square().sum() for g in topology.gather(values)), values)
        return topology.sum_to_vertices(corners).detach(), *gathered

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

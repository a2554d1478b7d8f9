"""Traced graphs with fewer operators for the same function."""

import pytest
import torch

from simlayer.autodiff.simplify import simplify
from simlayer.autodiff.tracing import trace

pytestmark = pytest.mark.usefixtures("float64")


def simplified(function, *example):
    """The traced function, and the number of its operators, after simplifying."""
    graph = trace(function, *example)
    simplify(graph)
    return graph, sum(node.op == "call_function" for node in graph.graph.nodes)


def test_a_simplified_graph_computes_the_same_with_fewer_operators():
    def function(x, y, z):
        one = torch.ones_like(x)
        double = x * y
        return torch.neg(-(x * y + z)) * one + z**2 - (-y) * 1, (z + double) + double, z - (-x) * y, z + y**0

    example = torch.randn(4, 3, dtype=torch.float64).unbind()[:3]
    graph, count = simplified(function, *example)
    # x y and x y + z are shared; then + z², + y; + 2 x y; z + x y; z + 1.
    assert count <= 8
    for result, expected in zip(graph(*example), function(*example), strict=True):
        assert torch.allclose(result, expected, rtol=1e-15, atol=1e-15)


def test_twice_a_product_is_one_product_with_a_factor_that_is_doubled_once():
    graph = trace(lambda s, x, y: (s * x + s * x, s * y + s * y), *torch.randn(3).unbind())
    s, x, y = torch.randn(3, 5).unbind()
    simplify(graph)
    assert len([node for node in graph.graph.nodes if node.op == "call_function"]) == 3
    assert all(map(torch.equal, graph(s, x, y), (2 * s * x, 2 * s * y)))


def test_results_of_a_simplified_graph_are_tensors_of_their_own():
    x = torch.tensor(2.0)
    graph, _ = simplified(lambda x: (x * 1, x + 1, x + 1, torch.ones_like(x)), x)
    results = graph(x)
    assert [float(result) for result in results] == [2, 3, 3, 1]
    assert len({id(tensor) for tensor in (x, *results)}) == 5


def test_a_graph_that_writes_in_place_is_left_alone():
    graph, _ = simplified(lambda x: torch.zeros_like(x).add_(x).add_(x), torch.tensor(2.0))
    assert float(graph(torch.tensor(3.0))) == 6

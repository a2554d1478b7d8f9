"""Tracing a function of tensors into a graph."""

import pytest
import torch

from simlayer.autodiff.tracing import trace

pytestmark = pytest.mark.usefixtures("float64")


def test_a_trace_is_of_the_operators_and_not_of_the_example():
    graph = trace(lambda x: torch.func.grad(lambda y: y**3)(x), torch.tensor(2.0))
    x = torch.randn(5)
    assert torch.allclose(graph(x), 3 * x**2, rtol=1e-15, atol=0)


def test_a_trace_leaves_its_example_without_a_graph():
    x = torch.tensor(2.0, requires_grad=True)
    graph = trace(lambda x: x * x, x)
    assert graph(torch.tensor(3.0)).grad_fn is None

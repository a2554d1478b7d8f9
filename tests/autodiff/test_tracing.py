"""Tracing a function of tensors into a graph."""

import pytest
import torch

from simlayer.autodiff.tracing import trace
from simlayer.errors import TracingError

pytestmark = pytest.mark.usefixtures("float64")


def test_a_trace_is_of_the_operators_and_not_of_the_example():
    graph = trace(lambda x: torch.func.grad(lambda y: y**3)(x), torch.tensor(2.0))
    x = torch.randn(5)
    assert torch.allclose(graph(x), 3 * x**2, rtol=1e-15, atol=0)


def test_a_trace_leaves_its_example_without_a_graph():
    x = torch.tensor(2.0, requires_grad=True)
    graph = trace(lambda x: x * x, x)
    assert graph(torch.tensor(3.0)).grad_fn is None


def test_a_part_of_several_results_is_recorded():
    graph = trace(lambda x: torch.linalg.eigh(x)[0], torch.eye(3))
    x = torch.diag(torch.tensor([3.0, 1.0, 2.0]))
    assert torch.equal(graph(x), torch.tensor([1.0, 2.0, 3.0]))


def test_a_tensor_from_outside_is_a_constant_and_may_be_an_index():
    ends, weights = torch.tensor([2, 0]), torch.tensor([1.0, 2.0])
    graph = trace(lambda x: x[ends[0]] * weights[int(ends[1])], torch.ones(3))
    assert graph(torch.tensor([5.0, 6.0, 7.0])) == 7.0


def branch(x):
    return x if x > 0 else -x


def index(x):
    return torch.arange(3.0)[x.long()]


@pytest.mark.parametrize("function", [branch, index, lambda x: 2 * float(x), lambda x: x * x.item()])
@pytest.mark.parametrize("derivative", [lambda f: f, torch.func.grad], ids=["value", "gradient"])
def test_a_number_that_is_read_is_named_with_the_users_line(function, derivative):
    with pytest.raises(TracingError, match=r"test_tracing.py, line \d+ \(`.+`\)"):
        trace(derivative(function), torch.tensor(1.0))

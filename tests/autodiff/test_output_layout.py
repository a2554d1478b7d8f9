"""Outputs that permute what is computed, for the compiler."""

import pytest
import torch

from simlayer.autodiff.output_layout import compute_permuted_outputs
from simlayer.autodiff.tracing import trace

pytestmark = pytest.mark.usefixtures("float64")


def test_an_output_that_permutes_what_is_computed_is_computed_permuted():
    def function(x, shared):
        scaled = torch.addcmul(shared, x, shared, value=2.0)
        return scaled.permute(2, 1, 0), (scaled + x).permute(2, 1, 0), scaled.sum(-1), x.permute(1, 0, 2)

    x, shared = torch.randn(2, 5, 3), torch.randn(5, 1)
    expected = function(x, shared)
    graph = trace(function, x, shared)
    compute_permuted_outputs(graph)
    assert all(map(torch.equal, graph(x, shared), expected))
    output = next(node for node in graph.graph.nodes if node.op == "output")
    names = [str(node.target) for node in output.all_input_nodes]
    assert names == [f"aten.{name}" for name in ("addcmul.default", "add.Tensor", "sum.dim_IntList")] + [
        "aten.permute.default"  # of an input, which is computed nowhere
    ]

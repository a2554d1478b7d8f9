"""The memory layout in which a compiled function returns its results."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import fx

_permute = torch.ops.aten.permute.default


def compute_permuted_outputs(graph: fx.GraphModule) -> None:
    """Rewrite a graph in place so that permuted results of pointwise operations are computed permuted.

    Inductor otherwise computes them in one layout and copies them to the other: whole batches of vectors are
    transposed, to and fro, element by element.
    """
    output = next(node for node in graph.graph.nodes if node.op == "output")
    for result in output.all_input_nodes:
        if result.target is _permute and _is_pointwise(result.all_input_nodes[0]):
            _compute_permuted(graph.graph, result)
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _is_pointwise(node: fx.Node) -> bool:
    return torch.Tag.pointwise in getattr(node.target, "tags", ())


def _compute_permuted(graph: fx.Graph, result: fx.Node) -> None:
    """Let the operation whose result is permuted work on permuted arguments, and its users on that."""
    (operation,), axes = result.all_input_nodes, cast("list[int]", result.args[1])
    shape = list(operation.meta["shape"])

    def permuted(argument: Any) -> Any:
        if not isinstance(argument, fx.Node):
            return argument
        whole = graph.call_function(torch.ops.aten.expand.default, (argument, shape))
        return graph.call_function(_permute, (whole, axes))

    with graph.inserting_before(operation):
        arguments = tuple(permuted(argument) for argument in operation.args)
        computed = graph.node_copy(operation)
        computed.args = arguments
        back = graph.call_function(_permute, (computed, [axes.index(axis) for axis in range(len(axes))]))
    computed.meta["shape"], back.meta["shape"] = result.meta["shape"], operation.meta["shape"]
    result.replace_all_uses_with(computed)
    operation.replace_all_uses_with(back)

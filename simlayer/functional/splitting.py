"""Splitting a traced function with its vector-Jacobian product into what runs forward and what backward."""

from __future__ import annotations

import torch
from torch import fx

# Sums over cells are dear to compute and small to keep; all else backward computes again from the inputs.
_KEPT = {
    torch.ops.aten.scatter_add.default,
    torch.ops.aten.index_add.default,
    torch.ops.aten.index_put.default,
    torch.ops.aten.sum.dim_IntList,
    torch.ops.aten.mm.default,
    torch.ops.aten.bmm.default,
    torch.ops.aten.addmm.default,
}


def split(joint: fx.GraphModule, num_inputs: int, num_outputs: int) -> tuple[fx.GraphModule, fx.GraphModule]:
    """The forward graph, which also returns what it hands to the backward graph, and that one.

    Args:
        joint: maps inputs and cotangents to outputs and gradients.
        num_inputs: how many of its arguments are inputs.
        num_outputs: how many of its results are outputs.

    Returns:
        forward: maps inputs to outputs and what is kept; backward: maps inputs, what is kept, and cotangents
        to gradients.
    """
    nodes = list(joint.graph.nodes)
    placeholders = [node for node in nodes if node.op == "placeholder"]
    results = list(nodes[-1].args[0])
    late = _dependent(nodes, placeholders[num_inputs:])
    # Of a chain of sums into one tensor, the last.
    candidates = [
        node
        for node in nodes
        if node not in late
        and node.target in _KEPT
        and not any(user.target in _KEPT and user.args[0] is node for user in node.users)
    ]

    def backward(kept: list[fx.Node]) -> tuple[fx.Graph, dict[fx.Node, fx.Node]]:
        inputs = [*placeholders[:num_inputs], *kept, *placeholders[num_inputs:]]
        return _extract(nodes, inputs, results[num_outputs:])

    _, copies = backward(candidates)
    kept = [node for node in candidates if copies[node].users]
    forward_graph, _ = _extract(nodes, placeholders[:num_inputs], [*results[:num_outputs], *kept])
    return fx.GraphModule(joint, forward_graph), fx.GraphModule(joint, backward(kept)[0])


def _dependent(nodes: list[fx.Node], sources: list[fx.Node]) -> set[fx.Node]:
    """The nodes that depend on any of the sources, these included."""
    found = set(sources)
    for node in nodes:
        if any(argument in found for argument in node.all_input_nodes):
            found.add(node)
    return found


def _extract(
    nodes: list[fx.Node], inputs: list[fx.Node], outputs: list[fx.Node]
) -> tuple[fx.Graph, dict[fx.Node, fx.Node]]:
    """The graph that computes some nodes from others, and the copies of all nodes in it."""
    graph = fx.Graph()
    copies = {}
    for node in inputs:
        copies[node] = graph.placeholder(node.name)
        copies[node].meta = dict(node.meta)
    for node in nodes:
        known = node in copies or node.op in ("placeholder", "output")
        if not known and all(argument in copies for argument in node.all_input_nodes):
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(tuple(copies[node] for node in outputs))
    graph.eliminate_dead_code()
    return graph, copies

"""Splitting a traced function with its vector-Jacobian product into what runs forward and what backward."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import fx

_SUMS = {
    torch.ops.aten.scatter_add.default,
    torch.ops.aten.index_add.default,
    torch.ops.aten.index_put.default,
    torch.ops.aten.mm.default,
    torch.ops.aten.bmm.default,
    torch.ops.aten.addmm.default,
}

# How many numbers go into one of a costly sum: more than the components of a vector or a tensor.
_MANY = 9


def is_sum(node: fx.Node) -> bool:
    """Whether a node is a sum over cells: costly to compute and small to keep.

    Where sums are only summed further, the last one is meant.
    """
    return _sums(node) and not all(_sums(user) for user in node.users)


def _sums(node: fx.Node) -> bool:
    if node.target is torch.ops.aten.sum.dim_IntList:
        (terms,) = node.all_input_nodes
        return terms.meta["shape"].numel() > _MANY * node.meta["shape"].numel()
    if node.target is torch.ops.aten.add.Tensor:
        return all(map(_sums, node.all_input_nodes))
    return node.target in _SUMS


def split(
    joint: fx.GraphModule, num_inputs: int, num_outputs: int, *, keep: Callable[[fx.Node], bool]
) -> tuple[fx.GraphModule, fx.GraphModule]:
    """Split a graph into a forward graph, which also returns what it keeps, and a backward graph.

    Args:
        joint: maps inputs and cotangents to outputs and gradients.
        num_inputs: how many of its arguments are inputs.
        num_outputs: how many of its results are outputs.
        keep: whether backward is given a node of the forward graph that it needs, or computes it again.

    Returns:
        forward: maps inputs to outputs and what is kept; backward: maps inputs, what is kept, and cotangents
        to gradients.
    """
    nodes = list(joint.graph.nodes)
    placeholders = [node for node in nodes if node.op == "placeholder"]
    inputs, results = placeholders[:num_inputs], list(nodes[-1].args[0])

    def backward(kept: list[fx.Node]) -> tuple[fx.Graph, dict[fx.Node, fx.Node]]:
        return _extract(nodes, [*inputs, *kept, *placeholders[num_inputs:]], results[num_outputs:])

    _, computed = _extract(nodes, inputs, results[:num_outputs])
    candidates = [node for node in computed if node.op == "call_function" and keep(node)]
    _, copies = backward(candidates)
    kept = [node for node in candidates if copies[node].users]
    forward_graph, _ = _extract(nodes, inputs, [*results[:num_outputs], *kept])
    return fx.GraphModule(joint, forward_graph), fx.GraphModule(joint, backward(kept)[0])


def _extract(
    nodes: list[fx.Node], inputs: list[fx.Node], outputs: list[fx.Node]
) -> tuple[fx.Graph, dict[fx.Node, fx.Node]]:
    """Return the graph that computes some nodes from others, and its copy of each node that it computes."""
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
    alive = set(graph.nodes)
    return graph, {node: copy for node, copy in copies.items() if copy in alive}

"""Tracing a function of tensors into a graph of plain operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from torch import Tensor, fx

from simlayer.autodiff.torch_private import record_operators


def trace(function: Callable[..., Any], *example: Tensor) -> fx.GraphModule:
    """Return the operators that `function` executes on these tensors, including derivatives it takes inside.

    Saved-tensor hooks, transforms and modes around the call belong to its thread, so a fresh thread traces
    correctly inside a checkpoint or a `torch.func` transform too, where taking derivatives would fail.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(_trace, function, example).result()


def inputs_read(graph: fx.GraphModule) -> tuple[int, ...]:
    """The indices of the arguments that a traced function reads."""
    inputs = [node for node in graph.graph.nodes if node.op == "placeholder"]
    return tuple(index for index, node in enumerate(inputs) if node.users)


def _trace(function: Callable[..., Any], example: Sequence[Tensor]) -> fx.GraphModule:
    graph = record_operators(function, *(tensor.detach() for tensor in example))
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph

"""Tracing a function of tensors into a graph of plain operators."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from torch import Tensor, fx

_thread = threading.local()


def is_tracing() -> bool:
    """Whether what runs now is only recorded as a graph."""
    return getattr(_thread, "tracing", False)


def trace(function: Callable[..., Any], *example: Tensor) -> fx.GraphModule:
    """The operators that `function` executes on these tensors, derivatives it takes inside included.

    Saved-tensor hooks, transforms and modes around the call are a thread's own, so a fresh thread traces
    right inside a checkpoint or a `torch.func` transform too, where taking derivatives would fail.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(_trace, function, example).result()


def inputs_read(graph: fx.GraphModule) -> tuple[int, ...]:
    """The indices of the arguments that a traced function reads."""
    inputs = [node for node in graph.graph.nodes if node.op == "placeholder"]
    return tuple(index for index, node in enumerate(inputs) if node.users)


def _trace(function: Callable[..., Any], example: Sequence[Tensor]) -> fx.GraphModule:
    # Imported here because it brings sympy along, which `import simlayer` should not.
    from torch.fx.experimental.proxy_tensor import make_fx

    _thread.tracing = True
    graph = make_fx(function)(*(tensor.detach() for tensor in example))
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph

"""Tracing a function of tensors into a graph of plain operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, fx


def trace(function: Callable[..., Any], *example: Tensor) -> fx.GraphModule:
    """The operators that `function` executes on these tensors, derivatives it takes inside included."""
    # Imported here because it brings sympy along, which `import simlayer` should not.
    from torch.fx.experimental.proxy_tensor import make_fx

    graph = make_fx(function)(*(tensor.detach() for tensor in example))
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph

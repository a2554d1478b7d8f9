"""Tracing a function of tensors into a graph of plain operators."""

from __future__ import annotations

import operator
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate
from torch.utils.weak import WeakTensorKeyDictionary

from simlayer.autodiff.torch_private import TorchDispatchMode, reads_number
from simlayer.errors import TracingError

# Folders of lines that a user did not write.
_INSTALLED, _OWN = Path(torch.__file__).parents[1], Path(__file__).parents[1]


def trace(function: Callable[..., Any], *example: Tensor) -> fx.GraphModule:
    """Return the operators that `function` executes on these tensors, including derivatives it takes inside.

    Each node has the shape of its result as `node.meta["shape"]`, where that is one tensor.

    Saved-tensor hooks, transforms and modes around the call belong to its thread, so a fresh thread traces
    correctly inside a checkpoint or a `torch.func` transform too, where taking derivatives would fail.

    Raises:
        TracingError: if the function reads a number from a tensor that depends on its arguments.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(_trace, function, example).result()


def inputs_read(graph: fx.GraphModule) -> tuple[int, ...]:
    """The indices of the arguments that a traced function reads."""
    inputs = [node for node in graph.graph.nodes if node.op == "placeholder"]
    return tuple(index for index, node in enumerate(inputs) if node.users)


def _trace(function: Callable[..., Any], example: Sequence[Tensor]) -> fx.GraphModule:
    recorder = _Recorder()
    arguments = [recorder.placeholder(tensor.detach()) for tensor in example]
    try:
        with recorder:
            results = function(*arguments)
    except (RuntimeError, TypeError) as error:
        frames = traceback.extract_tb(error.__traceback__)
        line = _users_line(frames)
        if not line or _is_own(frames[-1]):
            raise
        raise TracingError(
            f"a function that is traced fails{line}: {str(error).rstrip('.')}. It may use tensor "
            "operations only, of torch and not of NumPy or math, that work on tensors of any batch."
        ) from error
    recorder.graph.output(recorder.nodes_of(results))
    recorder.graph.eliminate_dead_code()
    return fx.GraphModule(recorder.constants, recorder.graph)


class _Recorder(TorchDispatchMode):
    """Records every operator that runs, below autograd and the transforms of `torch.func`.

    `make_fx` of torch records the same and takes several times as long, mostly for the metadata of results.
    """

    def __init__(self) -> None:
        super().__init__()
        self.graph, self.constants = fx.Graph(), nn.Module()
        self._nodes = WeakTensorKeyDictionary()
        self._depend: set[fx.Node] = set()  # on the arguments

    def placeholder(self, tensor: Tensor) -> Tensor:
        """Let a tensor be the next argument of the graph, and return it."""
        node = self.graph.placeholder(f"arg{len(self.graph.nodes)}")
        self._depend.add(node)
        self._record(tensor, node)
        return tensor

    def nodes_of(self, values: Any) -> Any:
        """Return nested values with nodes in the place of tensors."""
        return map_aggregate(values, self._node_of)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        arguments, keywords = self.nodes_of(tuple(args)), self.nodes_of(kwargs or {})
        if reads_number(func) and arguments[0] in self._depend:
            line = _users_line(traceback.extract_stack())
            raise TracingError(
                f"a number is read from a tensor{line}, as `x.item()`, `float(x)`, `if x > 0` and "
                "an index that is a tensor of one number do, and would be the same in all calls. Choose "
                "by torch.where(condition, a, b), and index with integers or with tensors of one axis."
            )
        results = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.squeeze.dim and not args[0].ndim:
            # There is nothing to squeeze, and a graph that did so would fail in `torch.func.vmap`.
            self._record(results, arguments[0])
            return results
        node = self._call(func, arguments, keywords)
        if isinstance(results, Tensor):
            self._record(results, node)
        elif isinstance(results, tuple | list):
            for index, result in enumerate(results):
                if isinstance(result, Tensor):
                    self._record(result, self._call(operator.getitem, (node, index), {}))
        return results

    def _call(self, func: Any, args: Any, kwargs: Any) -> fx.Node:
        node = self.graph.call_function(func, args, kwargs)
        if not self._depend.isdisjoint(node.all_input_nodes):
            self._depend.add(node)
        return node

    def _record(self, tensor: Tensor, node: fx.Node) -> None:
        node.meta["shape"] = tensor.shape
        self._nodes[tensor] = node

    def _node_of(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if value not in self._nodes:
            name = f"constant{len(self.graph.nodes)}"
            self.constants.register_buffer(name, value.detach())
            self._record(value, self.graph.get_attr(name))
        return self._nodes[value]


def _users_line(frames: Sequence[traceback.FrameSummary]) -> str:
    """Return where in a user's file the traced function is, the innermost line, if it is in one."""
    for frame in reversed(frames):
        if frame.name == _trace.__name__:
            break
        if not (_is_own(frame) or Path(frame.filename).is_relative_to(_INSTALLED)):
            return f" in {frame.filename}, line {frame.lineno} (`{frame.line}`)"
    return ""


def _is_own(frame: traceback.FrameSummary) -> bool:
    return Path(frame.filename).is_relative_to(_OWN)

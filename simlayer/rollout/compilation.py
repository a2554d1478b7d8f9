"""Steps as compiled functions.

A step is traced, with everything that it reads as an argument, into a graph of plain operators, and so is its
vector-Jacobian product; each is compiled once for the shapes at hand. What runs at every step of a rollout is
then a single call forward and one backward, without guards. What is kept between them are the arguments of
the step and its sums over cells. The eager step remains the reference, for double backward and forward mode
too.
"""

from __future__ import annotations

import functools
import os
import shutil
import warnings
from collections.abc import Hashable, Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, fx

from simlayer.autodiff.output_layout import compute_permuted_outputs
from simlayer.autodiff.partition import is_sum, split
from simlayer.autodiff.torch_private import compile_with_backend, compile_with_inductor
from simlayer.autodiff.tracing import inputs_read, trace
from simlayer.fem.compiler_layout import laid_out_for_compiler
from simlayer.rollout.step_function import Function, StepFunction, value_and_vjp
from simlayer.steps.base import Step

# Compiled functions by step. Not on the step, which would then neither pickle nor copy.
_COMPILED: WeakKeyDictionary[Step, dict[Hashable, StepFunction]] = WeakKeyDictionary()


class CompiledStep(StepFunction):
    """A compiled function of tensors, and its compiled vector-Jacobian product.

    Args:
        function: maps tensors to a tuple of tensors.
        names: of the values among them, see `StepFunction`.
        example: tensors of the shapes, strides, dtypes and devices to compile for.
        differentiable: which of them may need a gradient.
        backend: name of a torch compiler backend.
    """

    def __init__(
        self,
        function: Function,
        names: Sequence[str],
        example: Sequence[Tensor],
        differentiable: Sequence[bool],
        backend: str,
    ) -> None:
        arguments = [tensor.detach() for tensor in example]
        with torch.no_grad():
            outputs = function(*arguments)
        cotangents = [torch.ones_like(output) for output in outputs] if any(differentiable) else []
        joint = functools.partial(value_and_vjp, function, differentiable) if cotangents else function
        graph = trace(joint, *arguments, *cotangents)
        read = [index for index in inputs_read(graph) if index < len(arguments)]
        super().__init__(names, len(outputs), _reached(graph, len(outputs), differentiable), read)
        # Only of what is read, because every input takes time in every call; and without operations in
        # place: what one part of a split graph computes must not change in the other.
        reduced = torch.func.functionalize(_of_read(graph, read, arguments))
        example = [arguments[index] for index in read]
        graph = trace(reduced, *example, *cotangents)
        forward, backward = graph, None
        if cotangents:
            forward, backward = split(graph, len(example), len(outputs), keep=is_sum)
        self._run = compile_graph(forward, example, backend)
        with torch.no_grad():
            results = self._run(*example)
        # Compiled functions do not look at the layout of what they are given: the next step is given this.
        assert all(output.is_contiguous() for output in results[: len(outputs)]), "a state in another layout"
        if backward:
            self._vjp = compile_graph(backward, [*example, *results[len(outputs) :], *cotangents], backend)

    def run(self, *tensors: Tensor) -> Sequence[Tensor]:
        return self._run(*tensors)

    def vjp(self, *tensors: Tensor) -> Sequence[Tensor]:
        # What comes from outside may have any strides; the function was compiled for contiguous tensors.
        cotangents = (cotangent.contiguous() for cotangent in tensors[-self.num_outputs :])
        return self._vjp(*tensors[: -self.num_outputs], *cotangents)


def _reached(graph: fx.GraphModule, num_outputs: int, differentiable: Sequence[bool]) -> list[bool]:
    """Return which arguments get a gradient, of those that may need one."""
    (results,) = next(node for node in graph.graph.nodes if node.op == "output").args
    gradients = iter(results[num_outputs:])
    return [needed and next(gradients) is not None for needed in differentiable]


def _of_read(graph: fx.GraphModule, read: Sequence[int], arguments: Sequence[Tensor]) -> Function:
    """Return the function of the arguments that are read, without results that are None."""

    def function(*tensors: Tensor) -> list[Tensor]:
        given = dict(zip(read, tensors, strict=False))
        complete = [given.get(index, own) for index, own in enumerate(arguments)]
        results = graph(*complete, *tensors[len(read) :])
        return [result for result in results if result is not None]

    return function


def compile_graph(graph: fx.GraphModule, example: Sequence[Tensor], backend: str) -> Function:
    """Return a traced function of these tensors, the state first, compiled by a backend of torch."""
    if backend != "inductor":
        return compile_with_backend(backend, graph, example)
    compute_permuted_outputs(graph)
    # The state comes first, with its batch after the axes of components and of vertices.
    reads = _repeated_reads(len(graph.graph.nodes), batched=example[0].ndim > 2)
    return compile_with_inductor(graph, example, repeated_reads=reads)


def _repeated_reads(num_operations: int, *, batched: bool) -> int:
    """Return how many tensors an operation may read to be repeated wherever its result is needed.

    Usually one: what a vertex receives in backward is computed once per vertex, and not again in each of the
    two dozen cells around it. Many with a batch, where loops over cells with and without what samples share
    are not fused, so that half of a material would go through memory; and many with threads, which wait for
    each other after every loop. A few where so much would be repeated that compiling would take minutes.
    """
    if not batched and torch.get_num_threads() == 1:
        return 1
    return 15 if num_operations < 1000 else 3


def compiled_step(
    step: Step,
    key: Hashable,
    function: Function,
    names: Sequence[str],
    example: Sequence[Tensor],
    differentiable: Sequence[bool],
    backend: str,
) -> StepFunction:
    """Return the compiled function of a step for these shapes, compiled at the first request."""
    compiled = _COMPILED.setdefault(step, {})
    shapes = tuple((tuple(t.shape), t.stride(), t.dtype, t.device) for t in example)
    key = (key, shapes, tuple(differentiable), backend, torch.get_num_threads())
    if key not in compiled:
        with laid_out_for_compiler(step):
            compiled[key] = CompiledStep(function, names, example, differentiable, backend)
    return compiled[key]


@functools.cache
def compiler_missing() -> bool:
    """Return whether this machine has no C++ compiler; warn once if so."""
    missing = not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "g++", "clang++", "cl"))
    if missing:
        warnings.warn(
            "No C++ compiler was found, so rollouts run uncompiled, several times slower. Install g++ or "
            "clang++, or set CXX to one; compile=False silences this.",
            stacklevel=2,
        )
    return missing

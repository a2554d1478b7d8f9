"""Every private or experimental name of torch that the package uses, each with its reason.

A new version of torch is checked here. Imports inside functions keep `import simlayer` light.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, fx

# A mode whose `__torch_dispatch__` is called for every operator that runs.
from torch.utils._python_dispatch import TorchDispatchMode as TorchDispatchMode

P = ParamSpec("P")
T = TypeVar("T")


def below_autograd() -> AbstractContextManager[None]:
    """Run operators without the part of torch that records them.

    `torch.no_grad` still passes through that part, which on small meshes takes a tenth of the time.
    """
    return torch._C._AutoDispatchBelowAutograd()


def transforms_active() -> bool:
    """Return whether a transform of `torch.func` is active, where no node can keep intermediates."""
    return torch._C._are_functorch_transforms_active()


def modes_active() -> bool:
    """Return whether a mode looks at every operator that runs, as a tracer does."""
    return torch._C._len_torch_dispatch_stack() > 0


def functions_replaced() -> bool:
    """Return whether a mode may replace the arguments of functions of torch."""
    return torch._C._len_torch_function_stack() > 0


def forward_mode_alone() -> bool:
    """Return whether all active transforms of `torch.func` are one of forward mode, and `vmap`s around it.

    Without any, `torch.autograd.forward_ad` may still be in use.
    """
    kinds = [interpreter.key() for interpreter in torch._C._functorch.get_interpreter_stack() or ()]
    transform = torch._C._functorch.TransformType
    return not kinds or (kinds[-1] == transform.Jvp and all(k == transform.Vmap for k in kinds[:-1]))


def forward_mode_outside() -> bool:
    """Return whether `torch.func.jvp` is around another transform in a way that torch gets wrong.

    Second derivatives of nodes with a rule of their own are lost in one jvp around another; and in a
    `vmap` around a jvp around others, such as jacfwd of jacrev, torch fails.
    """
    kinds = [interpreter.key() for interpreter in torch._C._functorch.get_interpreter_stack() or ()]
    transform = torch._C._functorch.TransformType
    outside = [index for index, kind in enumerate(kinds[:-1]) if kind == transform.Jvp]
    return any(transform.Jvp in kinds[k + 1 :] or transform.Vmap in kinds[:k] for k in outside)


def is_mapped(tensor: Tensor) -> bool:
    """Return whether `torch.func.vmap` hides an axis of a tensor, so that none of its numbers can be read."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(tensor):
        if functorch.is_batchedtensor(tensor):
            return True
        tensor = functorch.get_unwrapped(tensor)
    return False


def is_wrapped(tensor: Tensor) -> bool:
    """Return whether a tensor is one of a transform of `torch.func`, which may differentiate by it."""
    return torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def modification_counts(tensors: Sequence[Tensor]) -> list[int]:
    """Return how many times each tensor was modified in place, nothing if one was made in inference mode.

    Autograd checks the tensors that a node saves; this checks those that a node only refers to.
    """
    try:
        return [tensor._version for tensor in tensors]
    except RuntimeError:
        return []


def writes_in_place(node: fx.Node) -> bool:
    """Return whether the operator of a node modifies one of its arguments, which only its schema says."""
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.is_mutable


def reads_number(operator: Any) -> bool:
    """Return whether an operator reads a number from a tensor, for Python to go on with."""
    return operator is torch.ops.aten._local_scalar_dense.default


def compile_with_backend(
    backend: str, graph: fx.GraphModule, example: Sequence[Tensor]
) -> Callable[..., Any]:
    """Compile a graph with a backend of `torch.compile`, by name.

    `torch.compile` itself would check guards at every call.
    """
    from torch._dynamo import lookup_backend

    return lookup_backend(backend)(graph, list(example))


def compile_with_inductor(
    graph: fx.GraphModule, example: Sequence[Tensor], *, repeated_reads: int
) -> Callable[..., Any]:
    """Compile a graph for these shapes by torch's own compiler, without the guards of `torch.compile`.

    An operation is repeated wherever its result is needed if it reads at most `repeated_reads` tensors.
    """
    from torch._inductor import compile as compile_graph
    from torch._inductor import config

    options: dict[str, Any] = {
        # The arguments have the shapes that were compiled for: checking each at each step takes a small mesh
        # a sixth of its time.
        "size_asserts": False,
        # The indices were checked when the mesh was made; checking them at every gather is costly.
        "assert_indirect_indexing": False,
        "realize_reads_threshold": repeated_reads,
        # Enough for an energy's derivatives and all that goes with them in one loop over the cells.
        "max_fusion_size": 1024,
    }
    # Multiply and add in one instruction and one rounding. Earlier versions of torch have a switch for it.
    if isinstance(config.cpp.enable_floating_point_contract_flag, str):
        options["cpp.enable_floating_point_contract_flag"] = "fast"
    return compile_graph(graph, list(example), options=options)


def untraced(function: Callable[P, T]) -> Callable[P, T]:
    """Return a function that `torch.compile` around it calls as it is, with all that it calls.

    As by `torch.compiler.disable`, whose import would take a second of every program.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        if "torch._dynamo" not in sys.modules:
            return function(*args, **kwargs)
        return _disabled(function)(*args, **kwargs)

    call._torchdynamo_disable = True  # type: ignore[attr-defined]
    call._torchdynamo_disable_msg = "a rollout compiles its own steps"  # type: ignore[attr-defined]
    return call


@functools.cache
def _disabled(function: Callable[P, T]) -> Callable[P, T]:
    return torch.compiler.disable(function)

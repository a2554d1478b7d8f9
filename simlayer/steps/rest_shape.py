"""The rest shape of a step: what its parts have of it where it is another one than that of the mesh."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from simlayer.autodiff.forward_mode import has_tangent
from simlayer.autodiff.torch_private import (
    functions_replaced,
    is_wrapped,
    modification_counts,
)
from simlayer.fem.finite_elements import FiniteElements
from simlayer.fem.rest_shape import RestShaped
from simlayer.quantities.named import NamedTensors
from simlayer.steps.rest_shape_checks import NAME, check_buffers, check_cells

F = TypeVar("F", bound=Callable[..., Any])


def rest_shape_values(
    named: NamedTensors, physical: Mapping[str, Tensor], *, given: Collection[str] = ()
) -> dict[str, Tensor]:
    """Return the buffers of all parts of a step that follow from its rest positions, by full names.

    None for a step that has those of its mesh.

    Args:
        named: the tensors of a step, inside which there may be other steps.
        physical: the physical values of all quantities.
        given: the names of those that a call gives.

    Raises:
        ValueError: if there is not one rest position for every vertex, or a cell is inside out, or a part of
            a user's own class does not say what follows from them.
    """
    values: dict[str, Tensor] = {}
    for prefix, module in named.physical:
        name = prefix + NAME
        if NAME in module.quantities() and (name in given or not _is_of_mesh(module)):
            values |= _values_of_parts(named, prefix, physical[name])
    return values


@contextmanager
def own_rest_shape(step: Any) -> Iterator[None]:
    """Let the parts of a step that is called by itself have the rest positions that are stored in it."""
    if _has_shape(step):
        yield
        return
    named = NamedTensors(step)
    own = named.quantities[NAME].quantity.value(named.parameters[NAME])
    with named.substituted({NAME: own, **_values_of_parts(named, "", own)}):
        yield


def in_own_rest_shape(method: F) -> F:
    """Return a method of a step that runs in `own_rest_shape`."""

    @functools.wraps(method)
    def wrapped(self: Any, *args: Any, **options: Any) -> Any:
        if _has_shape(self):
            return method(self, *args, **options)
        with own_rest_shape(self):
            return method(self, *args, **options)

    return wrapped  # type: ignore[return-value]


def current_rest_shape(elements: FiniteElements, named: NamedTensors) -> dict[str, Tensor]:
    """Return what follows from the rest positions of a call in all parts; nothing for those of the mesh."""
    if elements.reshaped is None:
        return {}
    parts = {path for path, part in named.modules.items() if isinstance(part, RestShaped)}
    return {
        name: buffer
        for name, buffer in named.buffers.items()
        if name.rpartition(".")[0] in parts and buffer.is_floating_point()
    }


def fill_in(step: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Add rest positions to a state dict of a time when steps had none, as its load hook."""
    state_dict.setdefault(prefix + NAME, step._parameters[NAME])


def _values_of_parts(named: NamedTensors, prefix: str, rest_positions: Tensor) -> dict[str, Tensor]:
    """Return what follows from the rest positions of the step with this prefix, checked."""
    step: Any = named.modules[prefix.removesuffix(".")]
    count = step.num_vertices
    if rest_positions.shape[-2] != count:
        raise ValueError(
            f"{prefix}{NAME} has shape {tuple(rest_positions.shape)}; expected (*batch, {count}, 3)."
        )
    values: dict[str, Tensor] = {}
    for path, part in named.modules.items():
        if not f"{path}.".startswith(prefix):
            continue
        own = f"{path}." if path else ""
        if isinstance(part, RestShaped):
            found = part.at_rest_positions(rest_positions)
            if isinstance(part, FiniteElements):
                check_cells(found, part, prefix + NAME, rest_positions)
            values |= {own + name: value for name, value in found.items()}
        else:
            check_buffers(part, path, {count, step.elements.num_cells})
    return values


def _has_shape(step: Any) -> bool:
    """Return whether the parts of a step have its rest shape: in a call, or as it is that of the mesh."""
    return NAME in step.substitutes or _is_of_mesh(step)


def _is_of_mesh(step: Any) -> bool:
    """Return whether the rest positions that are stored in a step are constants, and those of its mesh."""
    parameter = step._parameters[NAME]
    # A mode may put a tensor with derivatives in place of the parameter, such as `parameter_jacobian` does.
    value = parameter.clone() if functions_replaced() else parameter
    if value.requires_grad or is_wrapped(value):
        return False
    return step.compared_rest_positions.are_of_mesh(step, parameter)


class ComparedRestPositions:
    """Whether rest positions are those of a mesh: compared once, and again only after they were modified.

    So that no step waits for its device, or takes the time. Copies compare anew.
    """

    def __init__(self) -> None:
        self._parameter: weakref.ref[Tensor] | None = None
        self._counts: list[int] = []
        self._equal = False

    def are_of_mesh(self, step: Any, parameter: Tensor) -> bool:
        """Return whether this parameter of a step has the numbers of its mesh, and no derivatives."""
        counts = modification_counts([parameter])
        if self._parameter and self._parameter() is parameter and self._counts == counts != []:
            return self._equal
        if has_tangent(parameter):
            return False
        vertices = step.elements.mesh.vertices.to(parameter)
        equal = parameter.shape == vertices.shape and torch.equal(parameter, vertices)
        self._parameter, self._counts, self._equal = weakref.ref(parameter), counts, equal
        return equal

    def __reduce__(self) -> tuple[type[ComparedRestPositions], tuple[()]]:
        return ComparedRestPositions, ()

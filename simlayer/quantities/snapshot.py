"""The settings and parts of modules at one moment, for functions that backward runs again later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from simlayer.autodiff.torch_private import modification_counts

# What torch keeps in every module, hooks and registries; buffers and children are kept by themselves.
_TORCH = vars(nn.Module()).keys() - {"training"}
_MISSING = object()


class Snapshot:
    """What the modules under a root are at one moment, apart from the values of quantities and parameters.

    Attributes, buffers and children that are assigned later are not what a function ran with, and backward
    would run it again with them. Buffers that are changed in place cannot be kept, and are reported.
    """

    def __init__(self, root: nn.Module) -> None:
        self._attributes: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._children: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._buffers: list[Tensor] = []
        for module in root.modules():
            own = vars(module)
            kept = {n: v for n, v in own.items() if n not in _TORCH and n != "substitutes"}
            self._attributes.append((own, kept))
            self._children += [(place, place.copy()) for place in (module._buffers, module._modules)]
            self._buffers += [b for b in module._buffers.values() if b is not None]
        self._versions = modification_counts(self._buffers)

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Let the modules be as they were for the time of a `with` block.

        Raises:
            RuntimeError: if a buffer was modified in place since.
        """
        if modification_counts(self._buffers) != self._versions:
            raise modified_in_place()
        attributes = [
            (place, {name: place.get(name, _MISSING) for name in kept}, kept)
            for place, kept in self._attributes
            if any(place.get(name, _MISSING) is not value for name, value in kept.items())
        ]
        children = [(place, place.copy(), kept) for place, kept in self._children if _differ(place, kept)]
        for place, _, kept in attributes:
            place.update(kept)
        for place, _, kept in children:
            _replace(place, kept)
        try:
            yield
        finally:
            for place, later, _ in attributes:
                place.update(later)
                for name in [name for name, value in later.items() if value is _MISSING]:
                    del place[name]
            for place, later, _ in children:
                _replace(place, later)


def modified_in_place() -> RuntimeError:
    """Return the error of a backward pass that would read other values than its forward pass."""
    return RuntimeError(
        "a quantity or buffer was modified in place between the forward and the backward pass of a rollout "
        "or step: call backward before the optimizer's step, or run forward again."
    )


def _differ(place: dict[str, Any], kept: dict[str, Any]) -> bool:
    return place.keys() != kept.keys() or any(place[name] is not value for name, value in kept.items())


def _replace(place: dict[str, Any], members: dict[str, Any]) -> None:
    place.clear()
    place.update(members)

"""The memory of rollouts: what implicit steps may keep, and what is given back to the system."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from simlayer.steps.base import Step
from simlayer.steps.implicit import ImplicitStep


@contextmanager
def kept_for_backward(step: Step, most: float) -> Iterator[None]:
    """Let backward of each implicit substep keep so many bytes of factors, in a `with` block."""
    steps = [module for module in step.modules() if isinstance(module, ImplicitStep)]
    budgets = [each.memory_budget for each in steps]
    try:
        for each in steps:
            each.memory_budget = most
        yield
    finally:
        for each, budget in zip(steps, budgets, strict=True):
            each.memory_budget = budget


def trim() -> None:
    """Return what the C library keeps of freed memory, where it can (glibc).

    Large temporary tensors and small nodes of a graph alternate in an eager rollout. A node takes the front
    of the room that a tensor left, the next tensor no longer fits there, and the heap grows by it: at every
    step, although hardly anything is in use.
    """
    release = _release()
    if release is not None:
        release(0)


@functools.cache
def _release() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, another system
        return None

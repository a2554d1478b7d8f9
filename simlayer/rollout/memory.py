"""Giving memory that is free back to the system."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable


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

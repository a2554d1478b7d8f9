"""What to say of a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from torch import nn


def hint(name: str, known: Iterable[str]) -> str:
    """The nearest of the known names, or all of them where none is near."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f"did you mean {near[0]!r}?" if near else f"there are {known}."


def referred_force(forces: nn.ModuleDict, name: str, *, by: str) -> nn.Module:
    """The force of a step that one of its other parts, `by`, refers to; raises ValueError if it has none."""
    if name not in forces:
        raise ValueError(f"{by} refers to a force {name!r} that the step does not have; {hint(name, forces)}")
    return forces[name]

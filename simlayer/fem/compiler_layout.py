"""The finite elements of a module as a compiler wants them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from simlayer.fem.finite_elements import FiniteElements
from simlayer.fem.gradient_kernels import CompilerKernels


@contextmanager
def laid_out_for_compiler(module: nn.Module) -> Iterator[None]:
    """Give the finite elements of a module the kernels that a compiler fuses best, while it is traced."""
    found = [part for part in module.modules() if isinstance(part, FiniteElements)]
    before = [elements.kernels for elements in found]
    try:
        for elements in found:
            elements.kernels = CompilerKernels()
        yield
    finally:
        for elements, kernels in zip(found, before, strict=True):
            elements.kernels = kernels

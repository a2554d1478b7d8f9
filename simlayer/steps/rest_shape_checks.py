"""Checks of rest positions, and of the parts of a step that may follow from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from simlayer.autodiff.torch_private import is_mapped
from simlayer.errors import first_index, listed
from simlayer.fem.finite_elements import FiniteElements
from simlayer.mesh.validation import MeshError

NAME = "rest_positions"
# What a user's class inherits from those of the package, and what does not follow from rest positions there,
# or is computed where it is read.
_INHERITED = {"free", "rest_bounds", "shares"}


def check_constant(controls: Iterable[str]) -> None:
    """Raise ValueError if rest positions are among the controls of a rollout, or of its policy."""
    if found := [name for name in controls if name.rpartition(".")[2] == NAME]:
        raise ValueError(
            f"controls: {found[0]!r} are the same in all steps of a rollout; give them in parameters."
        )


def check_cells(
    values: Mapping[str, Tensor], elements: FiniteElements, name: str, rest_positions: Tensor
) -> None:
    """Raise MeshError if cells have no volume or are inside out at a quadrature point."""
    if is_mapped(rest_positions):
        return
    with torch.no_grad():
        wrong = ~(values["mass_weights"] > 0).all(0)
        own = ~(values["weights"] > 0)
        wrong = wrong | (own.any(0) if elements.has_points else own)
    if not bool(wrong.any()):
        return
    if not bool((finite := rest_positions.isfinite()).all()):
        raise ValueError(f"{name} must be finite, got NaN or infinity at {first_index(~finite)}.")
    sample = first_index(wrong.any(0)) if wrong.ndim > 1 else ()
    cells = wrong.movedim(0, -1)[sample].nonzero().flatten().tolist()
    raise MeshError(
        f"{name} turn cells inside out{f' in sample {sample}' if sample else ''}: det dX/dxi must be "
        f"positive at every quadrature point, and is not in cells {listed(cells)}. Move vertices less from "
        "the mesh, those inside together with those on the surface, or mesh the new shape."
    )


def check_buffers(part: nn.Module, path: str, extents: set[int]) -> None:
    """Raise TypeError if a user's own class has buffers over cells or vertices that may be of the mesh."""
    if type(part).__module__.partition(".")[0] in (__name__.partition(".")[0], "torch"):
        return
    suspects = [
        name
        for name, buffer in part.named_buffers(recurse=False)
        if name not in _INHERITED and buffer.is_floating_point() and extents & set(buffer.shape)
    ]
    if suspects:
        raise TypeError(
            f"{path} ({type(part).__name__}) has buffers over cells or vertices, {', '.join(suspects)}, and "
            f"does not say which of them follow from {NAME}: derive it from simlayer.RestShaped, whose "
            "method at_rest_positions returns those that do, {} if none does."
        )

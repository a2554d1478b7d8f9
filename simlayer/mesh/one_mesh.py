"""The check that the parts of a simulation were made for one mesh."""

from __future__ import annotations

import torch
from torch import nn

from simlayer.mesh.mesh import Mesh

# Of the size of a body: what a change of precision may move its vertices by.
_ROUNDING = 1e-5


def check_one_mesh(module: nn.Module, mesh: Mesh) -> None:
    """Raise ValueError, naming the part, unless every part with an attribute `mesh` was made for this one."""
    for path, part in module.named_modules():
        own = getattr(part, "mesh", None)
        if isinstance(own, Mesh) and not _same_body(own, mesh):
            # The finite elements of a force are those of its mesh.
            name = path.removesuffix(".elements")
            raise ValueError(
                f"{name} was made for another mesh than the {type(module).__name__}: {_size(own)}, not "
                f"{_size(mesh)}; make both from the same Mesh."
            )


def _same_body(a: Mesh, b: Mesh) -> bool:
    if a is b:
        return True
    if a.vertices.shape != b.vertices.shape or not torch.equal(a.cells.cpu(), b.cells.cpu()):
        return False
    # In double precision, for meshes made in different ones.
    x, y = a.vertices.double().cpu(), b.vertices.double().cpu()
    return bool((x - y).abs().max() <= _ROUNDING * (x.amax(0) - x.amin(0)).max())


def _size(mesh: Mesh) -> str:
    extent = " x ".join(f"{length:.4g}" for length in (mesh.bounds[1] - mesh.bounds[0]).tolist())
    return f"{mesh.source} ({len(mesh.vertices)} vertices, {len(mesh.cells)} cells, {extent} m)"

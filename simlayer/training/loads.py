"""Loads on chosen vertices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from simlayer.forces.load import NodalLoad
from simlayer.mesh import Mesh
from simlayer.training.selection import select


def spread_load(mesh: Mesh, *, vertices: Mapping[str, Any], total: Sequence[float]) -> NodalLoad:
    """A constant force in equal parts on chosen vertices; see `select` for how.

    Args:
        mesh: the body.
        vertices: the selection.
        total: the sum of the parts [N].
    """
    chosen = select(mesh, vertices)
    forces = torch.zeros_like(mesh.vertices)
    forces[chosen] = torch.tensor([float(part) for part in total]) / len(chosen)
    return NodalLoad(mesh, forces)

"""Loads and masses on chosen vertices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from simlayer.app.selection import select
from simlayer.fem.surface import Kind
from simlayer.forces.loads import DistributedLoad, NodalLoad
from simlayer.mesh.mesh import Mesh
from simlayer.steps.point_mass import PointMass


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


def distributed_load(
    mesh: Mesh, *, vertices: Mapping[str, Any], force: Sequence[float], over: Kind = "faces"
) -> DistributedLoad:
    """A force spread evenly over the faces, or edges, between chosen vertices; see `select` for how.

    Args:
        mesh: the body.
        vertices: the selection.
        force: the total [N].
        over: "faces" or "edges".
    """
    return DistributedLoad(mesh, select(mesh, vertices), force=force, over=over)


def point_mass(mesh: Mesh, *, vertices: Mapping[str, Any], mass: float) -> PointMass:
    """A mass [kg] that hangs in equal parts on chosen vertices; see `select` for how."""
    return PointMass(mesh, select(mesh, vertices), mass=mass)

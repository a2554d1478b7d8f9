"""Loads and masses on selected vertices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from simlayer.app.selection import select
from simlayer.fem.surface import Kind
from simlayer.forces.loads import DistributedLoad, NodalLoad
from simlayer.mesh.mesh import Mesh
from simlayer.steps.point_mass import PointMass


def nodal_load(mesh: Mesh, *, vertices: Mapping[str, Any], total: Sequence[float]) -> NodalLoad:
    """Return a constant force in equal parts on selected vertices; see `select`.

    Args:
        mesh: the body.
        vertices: the selection.
        total: the total force [N].
    """
    selected = select(mesh, vertices)
    forces = torch.zeros_like(mesh.vertices)
    forces[selected] = torch.tensor([float(part) for part in total]) / len(selected)
    return NodalLoad(mesh, forces)


def distributed_load(
    mesh: Mesh, *, vertices: Mapping[str, Any], force: Sequence[float], over: Kind = "faces"
) -> DistributedLoad:
    """Return a force spread evenly over the faces, or edges, between selected vertices; see `select`.

    Args:
        mesh: the body.
        vertices: the selection.
        force: the total force [N].
        over: "faces" or "edges".
    """
    return DistributedLoad(mesh, select(mesh, vertices), force=force, over=over)


def point_mass(mesh: Mesh, *, vertices: Mapping[str, Any], mass: float) -> PointMass:
    """Return a mass [kg] that hangs in equal parts on selected vertices; see `select`."""
    return PointMass(mesh, select(mesh, vertices), mass=mass)

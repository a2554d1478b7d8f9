"""Given forces on vertices: dead loads, the same whatever the body does."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.fem.rest_shape import RestShaped
from simlayer.fem.surface import Kind, facets_within, shape_integrals
from simlayer.forces.base import Potential
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.selection import vertex_indices
from simlayer.quantities.arguments import checked_choice
from simlayer.quantities.arrays import checked_numbers
from simlayer.quantities.objects import checked_instance
from simlayer.quantities.quantity import Quantity
from simlayer.state import State


class DeadLoad(Potential):
    """Constant forces on the vertices: a potential without stiffness."""

    @property
    @abstractmethod
    def nodal_forces(self) -> Float[Tensor, "*batch #N 3"]:
        """The force on each vertex, or on every one [N]."""

    def energy(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        return -(self.nodal_forces * positions).sum((-1, -2))

    def forward(self, state: State) -> Float[Tensor, "*batch N 3"]:
        return self.nodal_forces.expand_as(state.positions)

    def hessian_product(
        self, positions: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch N 3"]:
        return torch.zeros_like(direction)

    @property
    def connectivity(self) -> Int[Tensor, "0 1"]:
        return torch.zeros(0, 1, dtype=torch.int64, device=self.nodal_forces.device)

    def hessian_blocks(
        self, positions: Float[Tensor, "*batch N 3"], *, projected: bool = False
    ) -> Float[Tensor, "*batch 0 3 3"]:
        return positions.new_zeros((*positions.shape[:-2], 0, 3, 3))


class NodalLoad(DeadLoad):
    """A given force on every vertex.

    Args:
        mesh: the body.
        forces: `(N, 3)` [N], or `(1, 3)` for the same force on every vertex.
    """

    forces = Quantity("N", over="vertex vectors")

    def __init__(self, mesh: Mesh, forces: Float[Tensor, "#N 3"]) -> None:
        super().__init__()
        self.forces, self.mesh = forces, checked_instance("mesh", mesh, Mesh)
        self.set_extents(vertices=len(mesh.vertices))

    @property
    def nodal_forces(self) -> Float[Tensor, "*batch #N 3"]:
        return self.forces


class DistributedLoad(DeadLoad, RestShaped):
    """A force that is spread evenly over a part of the surface, or along edges of it, at rest.

    Every vertex takes the integral of its shape function, so that the sum of the forces is the given one and
    their moment that of an even traction, to rounding. Vertices at the corners of quadratic cells may pull
    the other way; that is right.

    Args:
        mesh: the body.
        vertices: the name of a vertex set, vertex indices or a mask `(N,)`. The faces (or edges) of the
            surface that have all of their nodes among them are loaded.
        force: the total [N], 3 values.
        over: "faces" or "edges".

    Attributes:
        measure: the area [m²] or length [m] that is loaded, in the mesh.
        keeps_traction: whether rest positions other than those of the mesh change the total, in proportion to
            the area or length, and not the traction; so for what `of_traction` makes.

    Raises:
        ValueError: if there are no such vertices, or no such faces or edges.
    """

    force = Quantity("N", over="components")
    shares: Tensor
    measure: Tensor
    facets: Tensor

    def __init__(
        self,
        mesh: Mesh,
        vertices: Tensor | str,
        *,
        force: Sequence[float] | Float[Tensor, "*batch 3"],
        over: Kind = "faces",
    ) -> None:
        super().__init__()
        checked_choice("over", over, get_args(Kind))
        self.force, self.mesh = force, mesh
        chosen = vertex_indices(mesh, vertices, name="vertices")
        facets = facets_within(mesh, chosen, over)
        integrals = shape_integrals(mesh, facets, over)
        self.over, self.keeps_traction = over, False
        self.register_buffer("facets", facets, persistent=False)
        self.register_buffer("measure", integrals.sum(), persistent=False)
        self.register_buffer("shares", integrals / integrals.sum(), persistent=False)
        self.set_extents(vertices=len(mesh.vertices))

    @classmethod
    def of_traction(
        cls,
        mesh: Mesh,
        vertices: Tensor | str,
        *,
        traction: Sequence[float] | Float[Tensor, "*batch 3"],
        over: Kind = "faces",
    ) -> DistributedLoad:
        """Return the load of a force per area [Pa], or per length [N/m], of the rest shape."""
        load = cls(mesh, vertices, force=(0.0, 0.0, 0.0), over=over)
        load.force = checked_numbers("traction", traction) * load.measure
        load.keeps_traction = True
        return load

    def at_rest_positions(self, rest_positions: Float[Tensor, "*batch N 3"]) -> dict[str, Tensor]:
        integrals = shape_integrals(self.mesh, self.facets, self.over, rest_positions)
        total = self.measure if self.keeps_traction else integrals.sum(-1, keepdim=True)
        return {"shares": integrals / total}

    @property
    def nodal_forces(self) -> Float[Tensor, "*batch N 3"]:
        return self.force[..., None, :] * self.shares[..., None]

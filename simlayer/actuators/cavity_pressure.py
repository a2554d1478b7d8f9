"""The pressure of a fluid in a closed cavity of a body."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from simlayer.actuators.stiffness import CellBound, row_sums
from simlayer.fem.enclosed_volume import EnclosedVolume
from simlayer.fem.fields import per_sample
from simlayer.fem.surface import facets_within
from simlayer.forces.base import Potential
from simlayer.linalg.semidefinite import semidefinite_part
from simlayer.mesh.mesh import Mesh, MeshError
from simlayer.mesh.selection import vertex_indices
from simlayer.quantities.quantity import Quantity
from simlayer.state import State


class CavityPressure(Potential):
    """A pressure on the inner surface of a closed cavity, which follows the surface as it moves.

    The potential is -p V with V the volume of the cavity, so that the stiffness is symmetric (as it is for
    closed surfaces only: Schweizerhof, Ramm 1984).

        chamber = CavityPressure(mesh, "chamber")
        rollout(state, controls={"forces.chamber.pressure": pressure})              # (T, B, 1) [Pa]

    Args:
        mesh: the body.
        surface: the vertices of the inner surface: the name of a vertex set, indices or a mask `(N,)`. Faces
            of the body's surface that have all of their nodes among them are pressed on.
        pressure: p [Pa] above that around the body; below zero it sucks.

    Raises:
        ValueError: if there are no such faces, or they do not close, or enclose the body and not a cavity.
    """

    pressure = Quantity("Pa", scale=1e3)

    def __init__(self, mesh: Mesh, surface: Tensor | str, *, pressure: float | Tensor = 0.0) -> None:
        super().__init__()
        chosen = vertex_indices(mesh, surface, name="surface")
        self.pressure, self.mesh, self.cell_bound = pressure, mesh, CellBound(mesh)
        self.enclosed = EnclosedVolume(mesh, facets_within(mesh, chosen, "faces"))
        at_rest = float(self.volume(mesh.vertices))
        if not at_rest > 0:
            raise MeshError(
                f"{mesh.source}: surface must enclose a cavity, got faces around {-at_rest:.3g} m³ of the "
                "body: choose the vertices of the inner surface only."
            )

    def volume(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        """Return the volume of the cavity [m³], exact for the shape of its faces."""
        return self.enclosed(positions)

    def energy(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        return -per_sample(self.pressure) * self.volume(positions)

    @property
    def connectivity(self) -> Int[Tensor, "S K"]:
        return self.enclosed.facets

    def hessian_blocks(
        self, positions: Float[Tensor, "*batch N 3"], *, projected: bool = False
    ) -> Float[Tensor, "*batch S D D"]:
        blocks = -per_sample(self.pressure)[..., None, None, None] * self.enclosed.hessian_blocks(positions)
        return semidefinite_part(blocks) if projected else blocks

    def stiffness_bound(self, state: State | None) -> Float[Tensor, "*batch M"]:
        positions = self.mesh.vertices.to(self.enclosed.weights) if state is None else state.positions
        rows = row_sums(self.enclosed.hessian_blocks(positions), self.connectivity, positions.shape[-2])
        return self.cell_bound(per_sample(self.pressure).abs()[..., None] * rows)

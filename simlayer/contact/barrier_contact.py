"""Contact of a body with an obstacle."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.contact.barrier import traced_barrier
from simlayer.contact.base import Contact, ContactState
from simlayer.contact.continuous_collision import Passage, conservative_advancement, passage
from simlayer.contact.gap import ContactGap, components, vectors_of
from simlayer.contact.obstacle import Obstacle
from simlayer.contact.placement import check_placement, over_samples, warn_of_gaps
from simlayer.fem.fields import cells_first
from simlayer.fem.rest_shape import RestShaped
from simlayer.fem.surface import lumped_areas
from simlayer.forces.module_energy import ModuleEnergy
from simlayer.linalg.matrix3 import dot
from simlayer.linalg.semidefinite import semidefinite_part
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.arguments import checked_flag, checked_number
from simlayer.quantities.arrays import checked_numbers, described
from simlayer.quantities.checked_module import Option
from simlayer.quantities.objects import checked_instance
from simlayer.state import State

# The least gap, in activation distances, that a contact is meant to be pressed to: bounds at rest are for it.
_PRESSED = 0.2
# A generic point to trace a distance at, on no axis and no edge.
_EXAMPLE = (0.31, 0.47, 0.73)


class BarrierContact(Contact, RestShaped):
    """A barrier that keeps the surface of a body out of an obstacle, without friction.

    The energy is the sum over vertices of A kappa d̂ B(d/d̂), with d the distance of a vertex, A its part of
    the surface at rest, and B a barrier that is zero from the activation distance d̂ on and infinite at
    contact (Li et al. 2020). With these weights the pressure is kappa -B'(d/d̂) on any mesh. A tenth of
    Young's modulus is a good stiffness to begin with. Edges and faces between vertices are not considered: an
    obstacle should not be smaller than they are; a warning says if it is.

    Args:
        mesh: the body in its rest shape.
        obstacle: what it may touch.
        stiffness: kappa [Pa], positive. It means another pressure for another curve.
        activation_distance: d̂ [m].
        curve: "linear", -(1 - s)² ln s, or "squared", -(1 - s²)² ln s².
        extended: continue the barrier by a parabola below a tenth of d̂, so that it pushes back from inside
            too. Rollouts refuse penetration all the same.
        start: positions to check the placement of the obstacle at; the rest shape by default.

    Raises:
        ValueError: if the body starts inside the obstacle, or the activation distance does not fit its size.
    """

    activation_distance = Option(checked_number, above=0.0, unit="m")
    surface: Tensor

    def __init__(
        self,
        mesh: Mesh,
        obstacle: Obstacle,
        *,
        stiffness: float | Tensor,
        activation_distance: float,
        curve: str = "linear",
        extended: bool = False,
        start: Float[Tensor, "*batch N 3"] | None = None,
    ) -> None:
        super().__init__()
        checked_instance("obstacle", obstacle, Obstacle)
        checked_flag("extended", extended)
        checked_instance("curve", curve, str)
        self.obstacle, self.stiffness, self.activation_distance = obstacle, stiffness, activation_distance
        self.mesh, areas = mesh, lumped_areas(mesh)
        self.register_buffer("areas", areas, persistent=False)
        self.register_buffer("surface", areas.nonzero().flatten(), persistent=False)
        self.barrier = traced_barrier(curve, extended=extended)
        self.distance = ModuleEnergy.of_kind(
            obstacle,
            lambda x, y, z: obstacle.distance_from((x, y, z)),
            _EXAMPLE,
            components=True,
            method="signed_distance",
        )
        positions = mesh.vertices
        if start is not None:
            positions = checked_numbers("start", start).to(mesh.vertices)
            if positions.shape[-2:] != mesh.vertices.shape or not bool(positions.isfinite().all()):
                raise ValueError(
                    f"start must be positions (*batch, {len(mesh.vertices)}, 3), got {described(start)}."
                )
        positions = over_samples(positions, obstacle)
        with torch.no_grad():
            check_placement(positions, self.distances(positions), self.activation_distance)
        warn_of_gaps(mesh, obstacle.width)

    def at_rest_positions(self, rest_positions: Float[Tensor, "*batch N 3"]) -> dict[str, Tensor]:
        return {"areas": lumped_areas(self.mesh, rest_positions)}

    def energy(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        gap = self._gaps(positions)
        return (gap.strength * self.activation_distance * self.barrier.value([], [gap.ratio])).sum(0)

    def forward(self, state: State) -> Float[Tensor, "*batch N 3"]:
        gap = self._gaps(state.positions)
        return vectors_of(gap.push(self.barrier), gap.normal)

    def hessian_product(
        self, positions: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch N 3"]:
        gap, x, dx = self._gaps(positions), components(positions), components(direction)
        turning = self.distance.hessian_product(self._coefficients(positions), x, dx)
        change = gap.stiffness(self.barrier, self.activation_distance) * dot(gap.normal, dx)
        return vectors_of(change, gap.normal) - vectors_of(gap.push(self.barrier), turning)

    @property
    def connectivity(self) -> Int[Tensor, "K 1"]:
        return self.surface[:, None]

    def hessian_blocks(
        self, positions: Float[Tensor, "*batch N 3"], *, projected: bool = False
    ) -> Float[Tensor, "*batch K 3 3"]:
        x = positions[..., self.surface, :]
        gap = self._gaps(x, self.areas[..., self.surface])
        curvature = self.distance.hessian(self._coefficients(x), components(x), point_axes=1)
        normal = vectors_of(torch.ones_like(gap.ratio), gap.normal)
        push, stiffness = (
            x.movedim(0, -1)[..., None, None]
            for x in (gap.push(self.barrier), gap.stiffness(self.barrier, self.activation_distance))
        )
        blocks = stiffness * normal[..., :, None] * normal[..., None, :] - push * curvature
        return semidefinite_part(blocks) if projected else blocks

    def vertex_stiffness(self, state: State | None) -> Float[Tensor, "*batch #N"]:
        if state is None:
            pressed = self.areas.new_tensor(_PRESSED)
            (slope,) = self.barrier.hessian_product([], [pressed], [torch.ones_like(pressed)])
            return self.areas * self.stiffness * slope / self.activation_distance
        return self._gaps(state.positions).stiffness(self.barrier, self.activation_distance).movedim(0, -1)

    def distances(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N"]:
        found = self.distance.value(self._coefficients(positions), components(positions))
        return torch.where(self.areas > 0, found.movedim(0, -1), torch.inf)

    def approach(self, state: State) -> Float[Tensor, "*batch N"]:
        gap = self._gaps(state.positions)
        relative = self.obstacle.surface_velocities(state.positions) - state.velocities
        return dot(gap.normal, components(relative)).movedim(0, -1)

    def contact_state(self, positions: Float[Tensor, "*batch N 3"]) -> ContactState:
        gap = self._gaps(positions)
        touches = (gap.ratio < 1).to(positions.dtype)
        return ContactState(
            gap.push(self.barrier).movedim(0, -1),
            vectors_of(touches, gap.normal),
            touches.movedim(0, -1)[..., None] * self.obstacle.surface_velocities(positions),
        )

    def feasible_fraction(
        self, positions: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch"]:
        points, moves = (vectors[..., self.surface, :] for vectors in (positions, direction))
        return conservative_advancement(self._distances_of_points(positions), points, moves)

    def passage(self, start: Float[Tensor, "*batch N 3"], end: Float[Tensor, "*batch N 3"]) -> Passage | None:
        values = self._coefficients(start)

        def normals(points: Tensor) -> Tensor:
            x = components(points)
            return vectors_of(torch.ones_like(x[0]), self.distance.gradient(values, x))

        first, last = (positions[..., self.surface, :] for positions in (start, end))
        distances = self._distances_of_points(start)
        found = passage(distances, normals, first, last, self.activation_distance)
        if found is None:
            return None
        whole = Passage(*(each.new_zeros(start.shape[:-1]) for each in found))
        return Passage(*(w.index_copy(-1, self.surface, f) for w, f in zip(whole, found, strict=True)))

    def stiffness_to_stop(self, energy: float) -> float:
        barrier = float(self.barrier.value([], [self.areas.new_tensor(_PRESSED)]))
        return energy / (self.activation_distance * barrier)

    def _gaps(self, positions: Tensor, areas: Tensor | None = None) -> ContactGap:
        areas = cells_first(self.areas if areas is None else areas, positions.ndim - 2)
        values, points = self._coefficients(positions), components(positions)
        distance = self.distance.value(values, points)
        # Inside the body nothing touches, wherever the obstacle is.
        ratio = torch.where(areas > 0, distance / self.activation_distance, 1.0)
        strength = areas * cells_first(self.stiffness, positions.ndim - 2)
        return ContactGap(distance, self.distance.gradient(values, points), ratio, strength)

    def _distances_of_points(self, positions: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the map of points to distances `(*batch, K)`, with the batch axes that positions have."""
        values = self._coefficients(positions)
        return lambda points: self.distance.value(values, components(points)).movedim(0, -1)

    def _coefficients(self, positions: Tensor) -> list[Tensor]:
        return self.distance.coefficients(self.obstacle, positions.ndim - 2)

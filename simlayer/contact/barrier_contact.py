"""Contact of a body with an obstacle."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.autodiff.pointwise import PointwiseEnergy
from simlayer.contact.barrier import barrier_law
from simlayer.contact.base import Contact, ContactState
from simlayer.contact.continuous_collision import conservative_advancement
from simlayer.contact.obstacle import Obstacle
from simlayer.contact.placement import check_placement
from simlayer.fem.fields import cells_first, over_batch
from simlayer.fem.surface import lumped_areas
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.binding import Bound, bound, inputs_of
from simlayer.quantities.named import NamedTensors
from simlayer.state import State

# The gap that a contact is meant to be pressed to at most: what its stiffness is judged by beforehand.
_PRESSED = 0.2


class _Gap(NamedTuple):
    """Vertices before an obstacle: distances `(K, *batch)` and their gradients, and gaps over d̂."""

    distance: Tensor
    normal: tuple[Tensor, ...]
    gap: Tensor
    strength: Tensor


class BarrierContact(Contact):
    """Keeps the surface of a body out of an obstacle, without friction.

    The energy is the sum over vertices of A kappa d̂ B(d/d̂), with d the distance of a vertex, A its part of
    the surface at rest, and B a barrier that is zero from the activation distance d̂ on and infinite at
    contact (Li et al. 2020). Weighed so, the pressure is kappa -B'(d/d̂) on any mesh. A tenth of Young's
    modulus is a good stiffness to begin with. Edges and faces between vertices are not looked at: an obstacle
    should not be smaller than they are.

    Args:
        mesh: the body in its rest shape.
        obstacle: what it may touch.
        stiffness: kappa [Pa], positive. It means another pressure for another curve.
        activation_distance: d̂ [m].
        curve: "linear", -(1 - s)² ln s, or "squared", the same of s².
        extended: continue the barrier by a parabola below a tenth of d̂, so that it pushes back from inside
            too. Rollouts refuse penetration all the same.
        start: positions to check the placement of the obstacle at; the rest shape by default.

    Raises:
        ValueError: if the body starts inside the obstacle, or the activation distance does not fit its size.
    """

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
        self.obstacle = obstacle
        self.stiffness = stiffness
        self.activation_distance = activation_distance
        areas = lumped_areas(mesh)
        self.register_buffer("areas", areas, persistent=False)
        self.register_buffer("surface", areas.nonzero().flatten(), persistent=False)
        self.barrier = barrier_law(curve, extended=extended)
        self.distance, self._coefficients = _trace_distance(obstacle)
        positions = mesh.vertices if start is None else start.to(mesh.vertices)
        with torch.no_grad():
            check_placement(positions, self.distances(positions), activation_distance)

    def energy(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        at = self._before(positions)
        return (at.strength * self.activation_distance * self.barrier.value([], [at.gap])).sum(0)

    def forward(self, state: State) -> Float[Tensor, "*batch N 3"]:
        at = self._before(state.positions)
        return _vectors(self._push(at), at.normal)

    def hessian_product(
        self, positions: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch N 3"]:
        at, values = self._before(positions), self._values(positions.ndim - 2)
        dx = _components(direction)
        turning = self.distance.hessian_product(values, _components(positions), dx)
        return _vectors(self._stiffness(at) * _dot(at.normal, dx), at.normal) - _vectors(
            self._push(at), turning
        )

    @property
    def couplings(self) -> Int[Tensor, "K 1"]:
        return self.surface[:, None]

    def hessian_blocks(
        self, positions: Float[Tensor, "*batch N 3"], *, projected: bool = False
    ) -> Float[Tensor, "*batch K 3 3"]:
        positions = positions[..., self.surface, :]
        at = self._before(positions, self.areas[self.surface])
        curvature = self.distance.hessian(
            self._values(positions.ndim - 2), _components(positions), point_axes=1
        )
        normal = _vectors(torch.ones_like(at.gap), at.normal)
        push, stiffness = (x.movedim(0, -1)[..., None, None] for x in (self._push(at), self._stiffness(at)))
        blocks = stiffness * normal[..., :, None] * normal[..., None, :] - push * curvature
        if projected:
            stretches, vectors = torch.linalg.eigh(blocks)
            blocks = (vectors * stretches.clamp(min=0)[..., None, :]) @ vectors.mT
        return blocks

    def vertex_stiffness(self, state: State | None) -> Float[Tensor, "*batch #N"]:
        if state is None:
            pressed = self.areas.new_tensor(_PRESSED)
            (slope,) = self.barrier.hessian_product([], [pressed], [torch.ones_like(pressed)])
            return self.areas * self.stiffness * slope / self.activation_distance
        return self._stiffness(self._before(state.positions)).movedim(0, -1)

    def distances(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N"]:
        distance = self._before(positions).distance.movedim(0, -1)
        return torch.where(self.areas > 0, distance, torch.inf)

    def approach(self, state: State) -> Float[Tensor, "*batch N"]:
        at = self._before(state.positions)
        relative = self.obstacle.surface_velocities(state.positions) - state.velocities
        return _dot(at.normal, _components(relative)).movedim(0, -1)

    def contact_state(self, positions: Float[Tensor, "*batch N 3"]) -> ContactState:
        at = self._before(positions)
        touches = (at.gap < 1).to(positions.dtype)
        return ContactState(
            self._push(at).movedim(0, -1),
            _vectors(touches, at.normal),
            touches.movedim(0, -1)[..., None] * self.obstacle.surface_velocities(positions),
        )

    def longest_move(
        self, positions: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch"]:
        values = self._values(positions.ndim - 2)

        def distances(points: Tensor) -> Tensor:
            return self.distance.value(values, _components(points)).movedim(0, -1)

        return conservative_advancement(
            distances, positions[..., self.surface, :], direction[..., self.surface, :]
        )

    def stiffness_to_stop(self, energy: float) -> float:
        barrier = float(self.barrier.value([], [self.areas.new_tensor(_PRESSED)]))
        return energy / (self.activation_distance * barrier)

    def _before(self, positions: Tensor, areas: Tensor | None = None) -> _Gap:
        batch_axes, points = positions.ndim - 2, _components(positions)
        areas = over_batch(self.areas if areas is None else areas, batch_axes)
        values = self._values(batch_axes)
        distance = self.distance.value(values, points)
        # Inside the body nothing touches, wherever the obstacle is.
        gap = torch.where(areas > 0, distance / self.activation_distance, 1.0)
        strength = areas * cells_first(self.stiffness, batch_axes)
        return _Gap(distance, self.distance.gradient(values, points), gap, strength)

    def _push(self, at: _Gap) -> Float[Tensor, "K *batch"]:
        """The force on each vertex along its normal [N]."""
        return -at.strength * self.barrier.gradient([], [at.gap])[0]

    def _stiffness(self, at: _Gap) -> Float[Tensor, "K *batch"]:
        """Minus its derivative by the distance [N/m]."""
        (slope,) = self.barrier.hessian_product([], [at.gap], [torch.ones_like(at.gap)])
        return at.strength * slope / self.activation_distance

    def _values(self, batch_axes: int) -> list[Tensor]:
        """What the distance reads, each `()`, `(1,)` or `(*batch)`."""
        weights = dict(self.obstacle.named_parameters(remove_duplicate=False))
        values: list[Tensor] = []
        for name, component in self._coefficients:
            if component is None:
                values.append(weights[name])
            else:
                value = cells_first(getattr(self.obstacle, name), batch_axes)
                values.append(value if value.ndim == 0 else value[component])
        return values


def _trace_distance(obstacle: Obstacle) -> tuple[PointwiseEnergy, list[tuple[str, int | None]]]:
    """The obstacle's distance as a function of a point in space, and what it reads: names and components.

    Weights of learned obstacles have no component; quantities over components have three.
    """
    weights = NamedTensors(obstacle).weights
    names: list[tuple[str, int | None]] = [(name, None) for name in weights]
    examples, sizes = list(weights.values()), dict[str, int]()
    for name, value in inputs_of(obstacle).items():
        if name not in weights:
            one = value.reshape(-1, value.shape[-1])[0] if value.ndim else value.reshape(1)
            sizes[name] = len(one)
            names += [(name, k) for k in range(len(one))]
            examples += one.unbind()

    def distance(values: tuple[Tensor, ...], point: tuple[Tensor, ...]) -> Tensor:
        bindings: dict[str, Bound] = dict(zip(weights, values, strict=False))
        rest = iter(values[len(weights) :])
        for name, size in sizes.items():
            own = tuple(next(rest) for _ in range(size))
            bindings[name] = own[0] if size == 1 else own
        with bound(obstacle, bindings):
            return obstacle.distance_from((point[0], point[1], point[2]))

    # A generic point, on no axis and no edge.
    point = [torch.as_tensor(x, dtype=examples[-1].dtype) for x in (0.31, 0.47, 0.73)]
    law = PointwiseEnergy(distance, examples, point, shared=len(weights))
    return law, [names[k] for k in law.used]


def _components(vectors: Float[Tensor, "*batch K 3"]) -> tuple[Tensor, ...]:
    """Three fields `(K, *batch)`."""
    # In the order in which a rollout packs them, so that a gradient is never transposed.
    return vectors.movedim((-1, -2), (0, 1)).unbind()


def _dot(a: tuple[Tensor, ...], b: tuple[Tensor, ...]) -> Tensor:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _vectors(scale: Float[Tensor, "K *batch"], direction: tuple[Tensor, ...]) -> Float[Tensor, "*batch K 3"]:
    """The vectors of three fields, scaled."""
    return torch.stack([scale * component for component in direction]).movedim((0, 1), (-1, -2))

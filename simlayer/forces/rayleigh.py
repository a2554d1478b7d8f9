"""Damping proportional to stiffness."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from simlayer.forces.base import Potential, RatePotential
from simlayer.forces.reference import ForceReference
from simlayer.quantities.quantity import Quantity
from simlayer.state import State


class RayleighDamping(RatePotential):
    """Damping in proportion to the stiffness that another force of the step has where the body is now.

    The force -beta K(x) v damps a small vibration of frequency w with the ratio beta w / 2. It vanishes for
    translations, and for rotations where the other force does. In compression K may be indefinite: buckling
    modes are then driven and not damped, which `KelvinVoigt` never does.

    Args:
        force: the name of a `Potential` among the step's forces.
        coefficient: beta [s], positive.
    """

    quadratic = True
    coefficient = Quantity("s", positive=True)

    def __init__(self, force: str, *, coefficient: float | Tensor) -> None:
        super().__init__()
        self.coefficient = coefficient
        needs = "the stiffness of a Potential, such as ElasticForce"
        self.potential = ForceReference[Potential](
            force,
            Potential,  # type: ignore[type-abstract]
            by=type(self).__name__,
            needs=needs,
        )

    def connect(self, forces: nn.ModuleDict) -> None:
        """Refer to the named force; raises ValueError if there is none, or if it has no energy."""
        self.potential.connect(forces)

    def energy(
        self, positions: Float[Tensor, "*batch N 3"], velocities: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch"]:
        return -0.5 * (self(State(positions, velocities)) * velocities).sum((-1, -2))

    def forward(self, state: State) -> Float[Tensor, "*batch N 3"]:
        return -self.damping_product(state.positions, state.velocities, state.velocities)

    def damping_product(
        self,
        positions: Float[Tensor, "*batch N 3"],
        velocities: Float[Tensor, "*batch N 3"],
        direction: Float[Tensor, "*batch N 3"],
    ) -> Float[Tensor, "*batch N 3"]:
        return self.coefficient[..., None] * self.potential.get().hessian_product(positions, direction)

    @property
    def connectivity(self) -> Int[Tensor, "M C"] | None:
        return self.potential.get().connectivity

    def hessian_blocks(
        self,
        positions: Float[Tensor, "*batch N 3"],
        velocities: Float[Tensor, "*batch N 3"],
        *,
        projected: bool = False,
    ) -> Float[Tensor, "*batch M D D"]:
        blocks = self.potential.get().hessian_blocks(positions, projected=projected)
        return self.coefficient[..., None, None] * blocks

    def damping_bound(self, state: State | None) -> Float[Tensor, "*batch #M"]:
        return self.coefficient * self.potential.get().stiffness_bound(state)

    def prepare(self, state: State) -> None:
        self(state)

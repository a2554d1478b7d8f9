"""Damping proportional to stiffness."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from simlayer.errors import referred_force
from simlayer.forces.base import Potential, RatePotential
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

    coefficient = Quantity("s", positive=True)
    _forces: nn.ModuleDict | None

    def __init__(self, force: str, *, coefficient: float | Tensor) -> None:
        super().__init__()
        self.force_name = force
        self.coefficient = coefficient
        self._refer_to(None)

    def connect(self, forces: nn.ModuleDict) -> None:
        """Find the named force; raises ValueError if there is none, or if it has no energy."""
        force = referred_force(forces, self.force_name, by="RayleighDamping")
        if not isinstance(force, Potential):
            raise ValueError(
                f"RayleighDamping needs the stiffness of a Potential, such as ElasticForce, but "
                f"{self.force_name!r} is {type(force).__name__}."
            )
        self._refer_to(forces)

    def energy(
        self, positions: Float[Tensor, "*batch N 3"], velocities: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch"]:
        return -0.5 * (self(State(positions, velocities)) * velocities).sum((-1, -2))

    def forward(self, state: State) -> Float[Tensor, "*batch N 3"]:
        return -self.rate_product(state.positions, state.velocities, state.velocities)

    def rate_product(
        self,
        positions: Float[Tensor, "*batch N 3"],
        velocities: Float[Tensor, "*batch N 3"],
        direction: Float[Tensor, "*batch N 3"],
    ) -> Float[Tensor, "*batch N 3"]:
        return self.coefficient[..., None] * self._potential.hessian_product(positions, direction)

    @property
    def couplings(self) -> Int[Tensor, "M C"] | None:
        return self._potential.couplings

    def hessian_blocks(
        self,
        positions: Float[Tensor, "*batch N 3"],
        velocities: Float[Tensor, "*batch N 3"],
        *,
        projected: bool = False,
    ) -> Float[Tensor, "*batch M D D"]:
        blocks = self._potential.hessian_blocks(positions, projected=projected)
        return self.coefficient[..., None, None] * blocks

    def damping_bound(self, state: State | None) -> Float[Tensor, "*batch #M"]:
        return self.coefficient * self._potential.stiffness_bound(state)

    def prepare(self, state: State) -> None:
        self(state)

    @property
    def _potential(self) -> Potential:
        if self._forces is None:
            raise RuntimeError(
                f"RayleighDamping knows the force {self.force_name!r} only as part of a step that has both."
            )
        potential = self._forces[self.force_name]
        assert isinstance(potential, Potential)
        return potential

    def _refer_to(self, forces: nn.ModuleDict | None) -> None:
        # Past nn.Module, for which they would be submodules, with a second name for each parameter. All of
        # them and not the one, which may be replaced.
        object.__setattr__(self, "_forces", forces)

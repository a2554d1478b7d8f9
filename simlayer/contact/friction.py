"""Dry friction where a body touches something."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from simlayer.contact.base import ContactForce, ContactState
from simlayer.contact.smooth_friction import (
    dissipation_gradient,
    dissipation_hessian,
    dissipation_potential,
    friction_retention,
    tangential,
)
from simlayer.dissipation import Dissipation, StepContext
from simlayer.forces.reference import ForceReference
from simlayer.forces.terms import Term
from simlayer.quantities.arguments import checked_number
from simlayer.quantities.checked_module import Option
from simlayer.quantities.quantity import Quantity
from simlayer.state import State


class CoulombFriction(Dissipation):
    """Smooth Coulomb friction: mu N against the sliding, less below a threshold speed.

    N and the normals are those of the contact at the start of a step. Explicit steps solve for the velocity
    of each vertex in closed form, implicit ones add the dissipation potential to their sum: first order,
    stable at any dt, and friction never adds energy. What should stick creeps: within the friction cone a
    body on an incline of angle t slides at 1 - sqrt(1 - tan(t)/mu) thresholds.

    Args:
        contact: the name of a contact among the step's forces.
        coefficient: mu, positive.
        threshold_speed: [m/s], positive: a thousandth of the speeds of interest is a start.

    Raises:
        ValueError: if the threshold is not positive; by the step, if it has no contact of this name.
    """

    has_term: ClassVar[bool] = True
    coefficient = Quantity("1", positive=True)
    threshold_speed = Option(checked_number, above=0.0, unit="m/s")

    def __init__(self, contact: str, *, coefficient: float | Tensor, threshold_speed: float = 1e-3) -> None:
        super().__init__()
        needs = "a contact, such as BarrierContact"
        self.contact = ForceReference[ContactForce](
            contact,
            ContactForce,  # type: ignore[type-abstract]
            by=type(self).__name__,
            needs=needs,
        )
        self.threshold_speed = threshold_speed
        self.coefficient = coefficient

    def connect(self, forces: nn.ModuleDict) -> None:
        """Refer to the named contact; raises ValueError if there is none, or if it is another force."""
        self.contact.connect(forces)

    def forward(
        self, state: State, velocities: Float[Tensor, "*batch N 3"], context: StepContext
    ) -> Float[Tensor, "*batch N 3"]:
        touch = self.contact.get().contact_state(state.positions)
        sliding = tangential(velocities - touch.velocities, touch.normals)
        most_lost = context.dt * self.coefficient * touch.normal_force * context.inverse_masses
        kept = friction_retention(sliding, most_lost, self.threshold_speed)
        return velocities - (1 - kept)[..., None] * sliding

    def term(self, start: Float[Tensor, "*batch N 3"], predicted: Float[Tensor, "*batch N 3"]) -> Term:
        touch = self.contact.get().contact_state(start)
        return LaggedFriction(touch, self.coefficient * touch.normal_force, self.threshold_speed)

    def extra_repr(self) -> str:
        return (
            f"contact = {self.contact.name}, threshold_speed = {self.threshold_speed:g} m/s\n"
            + super().extra_repr()
        )


class LaggedFriction(Term):
    """The dissipation potential of friction with a contact as it was at the start of a step.

    Args:
        touch: the contact.
        limit: the largest friction of each vertex [N].
        threshold: the speed from which on friction is largest [m/s].
    """

    of_velocities = True
    at_end = True

    def __init__(self, touch: ContactState, limit: Float[Tensor, "*batch N"], threshold: float) -> None:
        self.touch, self.limit, self.threshold = touch, limit, threshold

    @property
    def connectivity(self) -> Int[Tensor, "N 1"]:
        return torch.arange(self.limit.shape[-1], device=self.limit.device)[:, None]

    def energy(self, vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        return dissipation_potential(self._sliding(vectors), self.limit, self.threshold).sum(-1)

    def gradient(self, vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        return dissipation_gradient(self._sliding(vectors), self.limit, self.threshold)

    def hessian_blocks(
        self, vectors: Float[Tensor, "*batch N 3"], *, projected: bool = False
    ) -> Float[Tensor, "*batch N 3 3"]:
        # Semi-definite as it is.
        sliding, normals = self._sliding(vectors), self.touch.normals
        return dissipation_hessian(sliding, normals, self.limit, self.threshold)

    def _sliding(self, velocities: Tensor) -> Tensor:
        return tangential(velocities - self.touch.velocities, self.touch.normals)

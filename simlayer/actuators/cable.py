"""Cables, or tendons, that run through points of a body and pull."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor

from simlayer.actuators.length_potential import LengthPotential
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.arguments import checked_number
from simlayer.quantities.checked_module import Option
from simlayer.quantities.quantity import Quantity

# Of the length of a cable at rest.
_TRANSITION = 1e-3


class Cable(LengthPotential):
    """A cable with a given tension, through eyelets without friction: the potential is tension times length.

        tendon = Cable(mesh, [(0, 0, 0.5), (0.1, 0, 0.02), (0.2, 0, 0.02)], anchors=[0])
        rollout(state, controls={"forces.tendon.tension": tension})                 # (T, B, 1) [N]

    Args:
        mesh: the body in its rest shape.
        points: its ends and eyelets in their order, in the body at rest [m].
        tension: [N], not negative: a cable only pulls.
        anchors: the indices of points that are fixed in space, at their places, and not to the body.

    Raises:
        ValueError: if there are fewer than two points, two in succession at one place, one outside of the
            body or none on it.
    """

    tension = Quantity("N", positive=True, closed=True)

    def __init__(
        self,
        mesh: Mesh,
        points: Sequence[Sequence[float]] | Float[Tensor, "P 3"],
        *,
        tension: float | Tensor = 0.0,
        anchors: Sequence[int] | Int[Tensor, "_"] = (),
    ) -> None:
        super().__init__(mesh, points, anchors)
        self.tension = tension
        self.trace()

    def length_energy(self, length: Tensor) -> Tensor:
        return self.tension * length

    def axial_stiffness(self) -> Float[Tensor, "*batch_and_one"]:
        return 0 * self.tension


class CableServo(LengthPotential):
    """An elastic cable that a motor winds up: slack below its rest length, a spring beyond.

    From slack to tight its stiffness rises evenly over a `transition`, so that the energy has two continuous
    derivatives, which Newton's method needs: the tension is k s²/(2w) for an extension s up to w, and
    k (s - w/2) beyond.

    Args:
        mesh: the body in its rest shape.
        points: its ends and eyelets in their order, in the body at rest [m].
        stiffness: k of the whole cable [N/m].
        rest_length: [m], which a controller drives; the length of the path at rest by default.
        transition: w [m]; a thousandth of the length of the path at rest by default.
        anchors: the indices of points that are fixed in space, at their places, and not to the body.

    Raises:
        ValueError: as for `Cable`.
    """

    stiffness = Quantity("N/m", positive=True)
    rest_length = Quantity("m", positive=True)
    transition = Option(checked_number, above=0.0, most=1e12, unit="m", frozen=True)

    def __init__(
        self,
        mesh: Mesh,
        points: Sequence[Sequence[float]] | Float[Tensor, "P 3"],
        *,
        stiffness: float | Tensor,
        rest_length: float | Tensor | None = None,
        transition: float | None = None,
        anchors: Sequence[int] | Int[Tensor, "_"] = (),
    ) -> None:
        super().__init__(mesh, points, anchors)
        at_rest = float(self.length(mesh.vertices))
        self.stiffness = stiffness
        self.rest_length = at_rest if rest_length is None else rest_length
        self.transition = _TRANSITION * at_rest if transition is None else transition
        self.trace()

    def length_energy(self, length: Tensor) -> Tensor:
        extension = (length - self.rest_length).clamp(min=0)
        rising = extension.clamp(max=self.transition)
        beyond = extension - rising
        work = rising**3 / (6 * self.transition) + beyond * (self.transition + beyond) / 2
        return self.stiffness * work

    def axial_stiffness(self) -> Float[Tensor, "*batch_and_one"]:
        return self.stiffness

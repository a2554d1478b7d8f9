"""Springs between points."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor

from simlayer.actuators.length_potential import LengthPotential
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.quantity import Quantity


class Spring(LengthPotential):
    """A spring that pulls and pushes between two points of a body, or one and a point in space.

    Args:
        mesh: the body in its rest shape.
        points: its two ends, in the body at rest [m]; or more, which it runs through as a `Cable` does.
        stiffness: [N/m].
        rest_length: [m]; the length at rest by default.
        anchors: the indices of points that are fixed in space, at their places, and not to the body.

    Raises:
        ValueError: as for `Cable`.
    """

    stiffness = Quantity("N/m", positive=True)
    rest_length = Quantity("m", positive=True)

    def __init__(
        self,
        mesh: Mesh,
        points: Sequence[Sequence[float]] | Float[Tensor, "P 3"],
        *,
        stiffness: float | Tensor,
        rest_length: float | Tensor | None = None,
        anchors: Sequence[int] | Int[Tensor, "_"] = (),
    ) -> None:
        super().__init__(mesh, points, anchors)
        self.stiffness = stiffness
        self.rest_length = float(self.length(mesh.vertices)) if rest_length is None else rest_length
        self.trace()

    def length_energy(self, length: Tensor) -> Tensor:
        return 0.5 * self.stiffness * (length - self.rest_length) ** 2

    def axial_stiffness(self) -> Float[Tensor, "*batch_and_one"]:
        return self.stiffness

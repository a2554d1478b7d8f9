"""Potentials of the length of a path."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.actuators.path import Path
from simlayer.actuators.stiffness import CellBound, row_sums
from simlayer.fem.fields import per_sample
from simlayer.forces.base import Potential
from simlayer.forces.module_energy import ModuleEnergy
from simlayer.linalg.semidefinite import semidefinite_part
from simlayer.mesh.mesh import Mesh
from simlayer.state import State

# A generic length to trace at [m].
_EXAMPLE = (1.1,)


class LengthPotential(Potential):
    """A potential that is a function of the length of a path; free of friction, one tension all along.

    A subclass supplies `length_energy` and `axial_stiffness`, and calls `trace` when it has its quantities.

    Args:
        mesh: the body in its rest shape.
        points, anchors: see `Path`.
    """

    traced_energy: ModuleEnergy

    def __init__(
        self,
        mesh: Mesh,
        points: Sequence[Sequence[float]] | Float[Tensor, "P 3"],
        anchors: Sequence[int] | Int[Tensor, "_"],
    ) -> None:
        super().__init__()
        self.path, self.cell_bound = Path(mesh, points, anchors), CellBound(mesh)

    def trace(self) -> None:
        """Trace the derivatives of the energy by the length."""
        self.traced_energy = ModuleEnergy.of_kind(self, self.length_energy, _EXAMPLE, method="length_energy")

    @abstractmethod
    def length_energy(self, length: Tensor) -> Tensor:
        """Return the energy [J] of a path of this length [m], by elementwise operations."""

    @abstractmethod
    def axial_stiffness(self) -> Float[Tensor, "*batch_and_one"]:
        """Return the largest second derivative of the energy by the length [N/m]."""

    def length(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        """Return the length of the path [m]."""
        return self.path.length(positions)

    def pull(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        """Return the tension, the derivative of the energy by the length [N]."""
        (found,) = self.traced_energy.gradient(*self._at(positions))
        return found.expand(1, *positions.shape[:-2])[0]  # where it does not depend on the length

    def energy(self, positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        return self.traced_energy.value(*self._at(positions))[0]

    @property
    def connectivity(self) -> Int[Tensor, "1 C"]:
        return self.path.nodes[None]

    def hessian_blocks(
        self, positions: Float[Tensor, "*batch N 3"], *, projected: bool = False
    ) -> Float[Tensor, "*batch 1 D D"]:
        coefficients, lengths = self._at(positions)
        (slope,) = self.traced_energy.hessian_product(coefficients, lengths, [torch.ones_like(lengths[0])])
        blocks = self._blocks(positions, slope.expand(1, *positions.shape[:-2])[0])
        return semidefinite_part(blocks) if projected else blocks

    def stiffness_bound(self, state: State | None) -> Float[Tensor, "*batch M"]:
        if state is None:
            # A batch of quantities, or of their values in time, may be looked at.
            batch = torch.broadcast_shapes(*(getattr(self, name).shape[:-1] for name in self.quantities()))
            rest = self.path.mesh.vertices.to(self.path.offsets)
            positions = rest.expand(*batch, *rest.shape)
        else:
            positions = state.positions
        # Where a cable is slack it may be tight soon after.
        blocks = self._blocks(positions, per_sample(self.axial_stiffness()))
        return self.cell_bound(row_sums(blocks, self.connectivity, positions.shape[-2]))

    def _blocks(self, positions: Tensor, slope: Tensor) -> Float[Tensor, "*batch 1 D D"]:
        first, second = self.path.derivatives(positions)
        tension, slope = (x[..., None, None] for x in (self.pull(positions), slope))
        return (tension * second + slope * first[..., :, None] * first[..., None, :])[..., None, :, :]

    def _at(self, positions: Float[Tensor, "*batch N 3"]) -> tuple[list[Tensor], list[Tensor]]:
        """Return what the traced energy takes: its coefficients, and the length of each sample."""
        coefficients = self.traced_energy.coefficients(self, positions.ndim - 2)
        return coefficients, [self.length(positions)[None]]

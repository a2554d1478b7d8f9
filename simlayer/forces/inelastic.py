"""Elastic forces of a body that remembers what was done to it."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from simlayer.forces.elastic import ElasticForce
from simlayer.forces.internal_variables import HistoryDependent, as_fields
from simlayer.forces.module_energy import ModuleEnergy


class InelasticForce(ElasticForce, HistoryDependent):
    """The base of forces of a body with internal variables at its quadrature points.

    A subclass calls `remember` in its constructor, and supplies the `coefficients` of the energy density of a
    step, and what the variables are after it, `updated`.
    """

    conservative: ClassVar[bool] = False

    def remember(self, density: ModuleEnergy, *, rows: int) -> None:
        """Take the energy density of a step, and keep 3 `rows` internal variables, zero at first.

        Args:
            density: reads internal variables, or what follows from them, beside F.
            rows: a third of the number of internal variables at each point.
        """
        self._elastic_density, self.traced_density = self.traced_density, density
        size = rows * len(self.elements.rule.weights) * self.elements.num_cells
        like = self.elements.mesh.vertices
        self.register_buffer("internal_variables", like.new_zeros(size, 3), persistent=False)
        self.register_buffer("elapsed", like.new_zeros(()), persistent=False)

    @property
    def elastic_density(self) -> ModuleEnergy:
        return self._elastic_density

    def remembered(self, batch_axes: int) -> list[Tensor]:
        """Return the internal variables at the start of the step as fields, for positions of a batch."""
        missing = batch_axes - (self.internal_variables.ndim - 2)
        return as_fields(self.internal_variables[(None,) * missing], self.elements)

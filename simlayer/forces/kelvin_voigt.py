"""Kelvin-Voigt viscosity."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from simlayer.forces.viscosity import Viscosity
from simlayer.linalg.matrix3 import Matrix3
from simlayer.mesh.mesh import Mesh


class KelvinVoigt(Viscosity):
    """Viscosity beside the elasticity of a body, none for any rigid motion of it however deformed.

    The stress P = F (2 eta Ė + zeta tr(Ė) I), with E the Green strain. In a small vibration of frequency w
    and shear modulus mu it damps shear with the ratio eta w / (2 mu).

    Args:
        mesh: the body in its rest shape.
        shear_viscosity: eta [Pa s], positive: one value, or one per cell.
        bulk_viscosity: zeta [Pa s], as for eta. None: a millionth of eta, which is as good as zero, whose
            logarithm could not be stored.
        deterministic, quadrature: see `FiniteElements`.
    """

    quadratic = True

    def __init__(
        self,
        mesh: Mesh,
        *,
        shear_viscosity: float | Tensor,
        bulk_viscosity: float | Tensor | None = None,
        deterministic: bool | None = None,
        quadrature: Literal["full", "reduced"] = "full",
    ) -> None:
        super().__init__(
            mesh, shear_viscosity, bulk_viscosity, deterministic=deterministic, quadrature=quadrature
        )
        self.trace()

    def rate_density(self, strain_rate: Matrix3) -> Tensor:
        """Return eta |Ė|² + zeta/2 (tr Ė)² [W/m³], half the power lost per rest volume."""
        shear, bulk = strain_rate.inner(strain_rate), strain_rate.trace() ** 2
        return self.shear_viscosity * shear + 0.5 * self.bulk_viscosity * bulk

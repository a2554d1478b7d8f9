"""Linear elasticity that is the same in all directions across an axis."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.linalg.matrix3 import Matrix3, dot
from simlayer.materials.base import Material
from simlayer.quantities.arrays import checked_directions
from simlayer.quantities.quantity import Quantity, derived_quantity


class TransverselyIsotropic(Material):
    """Hooke's law of a transversely isotropic body in the Green strain G, so that it can rotate freely.

    W = lam/2 (tr G)² + mu |G|² + alpha tr G g + 2 (axial_shear_modulus - mu) |G a|² + beta/2 g², g = a·G a
    (Spencer 1984), with coefficients that follow from the five engineering constants. Like any law that is
    quadratic in G it softens under compression.

    Args:
        axis: a, of any length: one for all, `(3,)`, or one per cell or region, `(M, 3)`.
        axial_modulus, transverse_modulus: Young's moduli along and across the axis [Pa], positive.
        axial_ratio: the contraction across, per extension along the axis, in (-2, 2).
        transverse_ratio: the contraction across, per extension at right angles to it across, in (-1, 1).
        axial_shear_modulus: for shear in planes that hold the axis [Pa], positive. Across the axis the
            shear modulus is transverse_modulus / (2 (1 + transverse_ratio)).

    Raises:
        ValueError: if the axis has no direction, or the stiffness is not positive definite.
    """

    axial_modulus = Quantity("Pa", over="cells", positive=True)
    transverse_modulus = Quantity("Pa", over="cells", positive=True)
    axial_ratio = Quantity("1", over="cells", bounds=(-2.0, 2.0))
    transverse_ratio = Quantity("1", over="cells", bounds=(-1.0, 1.0))
    axial_shear_modulus = Quantity("Pa", over="cells", positive=True)
    axis: Tensor

    def __init__(
        self,
        axis: Sequence[float] | Float[Tensor, "*cells 3"],
        *,
        axial_modulus: float | Tensor,
        transverse_modulus: float | Tensor,
        axial_ratio: float | Tensor,
        transverse_ratio: float | Tensor,
        axial_shear_modulus: float | Tensor,
    ) -> None:
        super().__init__()
        directions = checked_directions("axis", axis).to(torch.get_default_dtype())
        self.register_buffer("axis", directions, persistent=False)
        self.axial_modulus, self.transverse_modulus = axial_modulus, transverse_modulus
        self.axial_ratio, self.transverse_ratio = axial_ratio, transverse_ratio
        self.axial_shear_modulus = axial_shear_modulus
        self._check_definite()

    def _check_definite(self) -> None:
        """Raise ValueError unless the stiffness at rest is positive definite everywhere."""
        margin = self._margin()
        index = int(margin.argmin())
        if not float(margin.flatten()[index]) > 0:
            names = ("axial_ratio", "transverse_ratio", "axial_modulus", "transverse_modulus")
            given = [f"{n} = {float(getattr(self, n).expand_as(margin).flatten()[index]):g}" for n in names]
            raise ValueError(
                "axial_ratio is too large: 1 - transverse_ratio - 2 axial_ratio² transverse_modulus / "
                f"axial_modulus must be positive, got {', '.join(given)}."
            )

    def set_extents(self, **extents: int) -> None:
        super().set_extents(**extents)
        count = self.extents.get("cells")
        if count is not None and len(self.axis) not in (1, count):
            raise ValueError(
                f"axis must be one direction (3,) or one per cell or region ({count}, 3), got shape "
                f"{tuple(self.axis.shape)}."
            )

    def energy_density(self, F: Matrix3) -> Tensor:
        G = (F.T @ F).plus_identity(-1.0) * 0.5
        a = (self.axis_x, self.axis_y, self.axis_z)
        along = tuple(dot(G.row(i), a) for i in range(3))
        g, trace = dot(along, a), G.trace()
        isotropic = self.lam / 2 * trace**2 + self.mu * G.inner(G)
        shear = 2 * (self.axial_shear_modulus - self.mu) * dot(along, along)
        return isotropic + shear + g * (self.coupling * trace + self.stretching / 2 * g)

    # From the stiffness with the axis along z: C_xx = lam + 2 mu, C_xy = lam, C_xz = lam + coupling and
    # C_zz = lam + 2 coupling + 4 axial_shear_modulus - 2 mu + stretching.

    @derived_quantity
    def mu(self) -> Tensor:
        """Shear modulus across the axis [Pa]."""
        return self.transverse_modulus / (2 * (1 + self.transverse_ratio))

    @derived_quantity
    def lam(self) -> Tensor:
        """C_xy, the first Lamé parameter across the axis [Pa]."""
        ratio = self.transverse_modulus / self.axial_modulus
        nu, squares = self.transverse_ratio, self.axial_ratio**2 * ratio
        return self.transverse_modulus * (nu + squares) / ((1 + nu) * self._margin())

    @derived_quantity
    def coupling(self) -> Tensor:
        """C_xz - C_xy [Pa]."""
        return self.transverse_modulus * self.axial_ratio / self._margin() - self.lam

    @derived_quantity
    def stretching(self) -> Tensor:
        """What C_zz has beyond what follows from the other coefficients [Pa]."""
        along = self.axial_modulus * (1 - self.transverse_ratio) / self._margin()
        return along - self.lam - 2 * self.coupling - 4 * self.axial_shear_modulus + 2 * self.mu

    @derived_quantity
    def axis_x(self) -> Tensor:
        """The first component of a."""
        return self.axis[:, 0]

    @derived_quantity
    def axis_y(self) -> Tensor:
        """The second component of a."""
        return self.axis[:, 1]

    @derived_quantity
    def axis_z(self) -> Tensor:
        """The third component of a."""
        return self.axis[:, 2]

    def _margin(self) -> Tensor:
        """Return what is positive as long as the stiffness is positive definite."""
        ratio = self.transverse_modulus / self.axial_modulus
        return 1 - self.transverse_ratio - 2 * self.axial_ratio**2 * ratio

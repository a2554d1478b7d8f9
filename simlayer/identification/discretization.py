"""How much finer meshes and time steps would change what a fit has found, by Richardson's extrapolation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.identification.least_squares import LeastSquares, Linearization
from simlayer.identification.linear_uncertainty import least_squares_step
from simlayer.identification.scenes import ObservedScenes
from simlayer.identification.uncertainty import stored_slopes
from simlayer.quantities.arguments import checked_number


@dataclass(frozen=True)
class Refinement:
    """How much finer one of two discretizations is.

    Attributes:
        ratio: of the sizes of cells, or of time steps, the coarse one's over the fine one's; above 1.
        order: the power of that size that the error is proportional to; above 0.

    Raises:
        ValueError: if one of them is out of its range.
    """

    ratio: float
    order: float

    def __post_init__(self) -> None:
        checked_number("ratio", self.ratio, above=1.0)
        checked_number("order", self.order, above=0.0)

    @property
    def weight(self) -> float:
        """The error of the finer one as a share of the difference of the two."""
        return 1 / (self.ratio**self.order - 1)


@torch.no_grad()
def discretization_change(
    fine: LeastSquares,
    at: Linearization,
    difference: Float[Tensor, "B F K 3"],
    scenes: ObservedScenes,
    refinement: Refinement,
) -> Float[Tensor, "P"]:
    """Return by how much the values of a fit would change [SI] on an infinitely fine discretization.

    The motion there is extrapolated from two discretizations (Richardson 1911), u + (u - u_c) / (r^p - 1),
    and the change of the values follows from the linearized fit, so that one coarse rollout is enough. It is
    an estimate: the error of a mesh follows a power of the size of its cells only once these are small.

    Args:
        fine: the fit.
        at: its residuals at the values found, and their Jacobian.
        difference: of the residuals of two discretizations at the same values, fine minus coarse.
        scenes: what was fitted.
        refinement: how much finer the fine one is.
    """
    present = fine.loss.present(scenes.observed)
    shift = refinement.weight * difference[present].double()
    rows = at.jacobian[present].double()
    tolerance = torch.finfo(at.residuals.dtype).eps ** (2 / 3)
    return stored_slopes(fine.unknowns) * least_squares_step(rows, shift, tolerance=tolerance).cpu()

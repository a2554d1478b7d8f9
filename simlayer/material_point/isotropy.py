"""Whether a law has no preferred direction."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from simlayer.forces.module_energy import ModuleEnergy

# A deformation without symmetry, and rotations of the rest shape: no isotropic energy changes by these.
_GENERIC = torch.tensor([[1.1, 0.1, -0.05], [0.08, 0.9, 0.03], [-0.02, 0.06, 1.05]], dtype=torch.float64)
_TURNS = (
    torch.eye(3, dtype=torch.float64),
    torch.eye(3, dtype=torch.float64)[[1, 2, 0]],
    torch.tensor([[2.0, -1.0, 2.0], [2.0, 2.0, -1.0], [-1.0, 2.0, 2.0]], dtype=torch.float64) / 3,
)
# More than rounding changes an energy by, relatively.
_EXACT = 1e-9


@torch.no_grad()
def is_isotropic(density: ModuleEnergy, coefficients: Sequence[Tensor]) -> bool:
    """Return whether rotations of the rest shape leave an energy density as it is.

    Args:
        density: the traced energy density.
        coefficients: what it reads, of which the first point counts.
    """
    points = torch.stack([_GENERIC @ turn for turn in _TURNS]).reshape(-1, 9).unbind(1)
    values = [c.detach().double().cpu() for c in coefficients]
    values[density.shared :] = [c[:1] if c.ndim else c for c in values[density.shared :]]
    axes = max([1, *(c.ndim for c in values[density.shared :])])
    energy = density.value(values, [p.reshape(-1, *[1] * (axes - 1)) for p in points])
    return bool(((energy - energy[:1]).abs() <= _EXACT * energy.abs()).all())

"""Whether a law of rubber is stable in the tests of a laboratory."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from simlayer.errors import ImplausibleWarning
from simlayer.linalg.matrix3 import Matrix3
from simlayer.materials.nearly_incompressible import NearlyIncompressible

# Logarithmic principal strains of incompressible tests, for one along the first axis.
TESTS = {
    "uniaxial tension": (1.0, -0.5, -0.5),
    "planar tension": (1.0, 0.0, -1.0),
    "equibiaxial tension": (1.0, 1.0, -2.0),
}
# The largest stretch that is tried, at how many stretches, and for how many values of the quantities at most:
# fields of values come from programs, not from laboratories.
_LARGEST, _STRETCHES, _MOST = 4.0, 61, 1000
# The step of second differences in logarithmic strains: truncation and rounding are some 1e-8 both.
_STEP = 1e-4


def warn_of_instability(material: NearlyIncompressible) -> None:
    """Warn with ImplausibleWarning if a material loses stability in a test at stretches up to 4.

    It is stable as long as any further logarithmic strain needs more Kirchhoff stress (Drucker's
    criterion): the second derivatives of the energy by the two free principal strains are positive definite.
    """
    values = list(material.parameters())
    if max(value.numel() for value in values) > _MOST:
        return
    axes = max(value.ndim for value in values)
    stretches = torch.logspace(0, 1, _STRETCHES, _LARGEST, dtype=torch.float64, device=values[0].device)
    for test, direction in TESTS.items():
        strains = stretches.log().reshape(-1, *[1] * axes)
        stable = _is_stable(material, [strains * part for part in direction]).reshape(_STRETCHES, -1).all(1)
        if not bool(stable.all()):
            stretch = float(stretches[int((~stable).nonzero()[0])])
            warnings.warn(_said(material, test, stretch), ImplausibleWarning, stacklevel=4)
            return


def _is_stable(material: NearlyIncompressible, strains: list[Tensor]) -> Tensor:
    """Return where second differences of the energy by two of the strains are positive definite."""
    offsets = torch.tensor([-_STEP, 0.0, _STEP], dtype=torch.float64, device=strains[0].device)
    ones = [1] * strains[0].ndim
    first, second = offsets.reshape(3, 1, *ones), offsets.reshape(1, 3, *ones)
    moved = strains[0] + first, strains[1] + second, strains[2] - first - second
    x, y, z = (strain.exp() for strain in torch.broadcast_tensors(*moved))
    o = torch.zeros_like(x)
    with torch.no_grad():
        W = material.energy_density(Matrix3(x, o, o, o, y, o, o, o, z))
    along = W[0, 1] - 2 * W[1, 1] + W[2, 1], W[1, 0] - 2 * W[1, 1] + W[1, 2]
    mixed = (W[2, 2] - W[2, 0] - W[0, 2] + W[0, 0]) / 4
    return (along[0] > 0) & (along[0] * along[1] > mixed**2)


def _said(material: NearlyIncompressible, test: str, stretch: float) -> str:
    kind = type(material).__name__
    if stretch == 1:
        least = float(material.shear_modulus.min())
        return (
            f"{kind} is unstable at rest: its shear modulus at small strain is {least:g} Pa. Change the "
            "signs or sizes of its coefficients."
        )
    return (
        f"{kind} loses stability in {test} at a stretch of {stretch:.3g}, where some further strain needs no "
        f"more stress (stretches up to {_LARGEST:g} were tried). Fit the coefficients to several kinds of "
        "tests, or stay below that stretch."
    )

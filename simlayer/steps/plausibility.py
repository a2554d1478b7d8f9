"""Warnings of a body whose size or stiffness is valid, and likely to be in another unit."""

from __future__ import annotations

import warnings

from torch import Tensor

from simlayer.errors import ImplausibleWarning
from simlayer.forces.base import Force
from simlayer.forces.elastic import ElasticForce
from simlayer.materials import IsotropicMaterial
from simlayer.mesh.mesh import Mesh

# The sizes of bodies [m], and the speeds sqrt(E/rho) [m/s] from the softest gels to beyond diamond.
_SIZES = (1e-6, 100.0)
_SPEEDS = (0.03, 3e4)


def warn_of_units(mesh: Mesh, forces: dict[str, Force], density: Tensor) -> None:
    """Warn with ImplausibleWarning if a body is of a size, or as stiff, as none is in SI units."""
    size = float((mesh.vertices.amax(0) - mesh.vertices.amin(0)).max())
    if not _SIZES[0] <= size <= _SIZES[1]:
        _warn(f"the body is {size:g} m long: coordinates are in m. read_mesh(path, scale=1e-3) reads mm.")
    for name, force in forces.items():
        if isinstance(force, ElasticForce) and isinstance(force.material, IsotropicMaterial):
            modulus = float(force.material.youngs_modulus.detach().median())
            speed = (modulus / float(density.detach().median())) ** 0.5
            if not _SPEEDS[0] <= speed <= _SPEEDS[1]:
                _warn(
                    f"waves travel through the body at {speed:.2g} m/s, the root of the youngs_modulus of "
                    f"forces.{name}, {modulus:g} Pa, over the density: moduli are in Pa (1 MPa is 1e6) and "
                    "densities in kg/m³."
                )


def _warn(text: str) -> None:
    warnings.warn(text, ImplausibleWarning, stacklevel=4)

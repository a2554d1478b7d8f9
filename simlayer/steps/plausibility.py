"""Warnings of a body that is valid, and likely to be another than was meant."""

from __future__ import annotations

import warnings

from jaxtyping import Float
from torch import Tensor

from simlayer.errors import ImplausibleWarning, listed
from simlayer.fem.hourglass import hourglass_faces
from simlayer.forces.base import Force
from simlayer.forces.elastic import ElasticForce
from simlayer.materials.base import IsotropicMaterial
from simlayer.mesh.mesh import Mesh

# The sizes of bodies [m], and the speeds sqrt(E/rho) [m/s] from the softest gels to beyond diamond.
_SIZES = (1e-6, 100.0)
_SPEEDS = (0.03, 3e4)


def warn_of_units(mesh: Mesh, forces: dict[str, Force], density: Tensor) -> None:
    """Warn with ImplausibleWarning if a body is of a size, or as stiff, as none is in SI units."""
    size = float((mesh.vertices.amax(0) - mesh.vertices.amin(0)).max())
    if not _SIZES[0] <= size < _SIZES[1]:
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


def warn_of_hourglass_modes(forces: dict[str, Force], free: Float[Tensor, "N 3"]) -> None:
    """Warn with ImplausibleWarning if the quadrature of the elastic forces leaves motions without stiffness.

    What is fixed resists, and so does any of the elastic forces; other forces are not counted.
    """
    elastic = {name: force for name, force in forces.items() if isinstance(force, ElasticForce)}
    found = {name: hourglass_faces(force.elements, free) for name, force in elastic.items()}
    if found and all(map(len, found.values())):
        name, faces = min(found.items(), key=lambda item: len(item[1]))
        _warn(
            f"forces.{name} with quadrature='reduced' leaves {len(faces)} hourglass modes, motions of the "
            "body with no or hardly any stiffness: the cross-sections of what is one cell thick are "
            f"distorted in their planes, the first with vertices {listed(faces[0].tolist())}. Take "
            "quadrature='full', or two cells across the thickness."
        )


def _warn(text: str) -> None:
    warnings.warn(text, ImplausibleWarning, stacklevel=4)

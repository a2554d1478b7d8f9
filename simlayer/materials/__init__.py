"""Hyperelastic materials, each an energy density: in closed form, or learned."""

from simlayer.materials.base import IsotropicMaterial, Material
from simlayer.materials.classical import (
    Corotated,
    LinearElastic,
    MooneyRivlin,
    NeoHookean,
    StableNeoHookean,
    StVenantKirchhoff,
)
from simlayer.materials.neural import NeuralHyperelastic

__all__ = [
    "Corotated",
    "IsotropicMaterial",
    "LinearElastic",
    "Material",
    "MooneyRivlin",
    "NeoHookean",
    "NeuralHyperelastic",
    "StVenantKirchhoff",
    "StableNeoHookean",
]

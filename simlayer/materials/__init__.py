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
from simlayer.materials.neural_fibres import NeuralFibreReinforced

__all__ = [
    "Corotated",
    "IsotropicMaterial",
    "LinearElastic",
    "Material",
    "MooneyRivlin",
    "NeoHookean",
    "NeuralFibreReinforced",
    "NeuralHyperelastic",
    "StVenantKirchhoff",
    "StableNeoHookean",
]

"""Hyperelastic materials, each an energy density: in closed form, or learned."""

from simlayer.materials.base import IsotropicMaterial, Material
from simlayer.materials.classical import (
    Corotated,
    LinearElastic,
    NeoHookean,
    StableNeoHookean,
    StVenantKirchhoff,
)
from simlayer.materials.elastoplastic import J2Plasticity
from simlayer.materials.limited_extension import ArrudaBoyce, Gent
from simlayer.materials.neural import NeuralHyperelastic
from simlayer.materials.neural_fibres import NeuralFibreReinforced
from simlayer.materials.ogden import Ogden
from simlayer.materials.polynomial import MooneyRivlin, MooneyRivlin5, Yeoh
from simlayer.materials.soft_tissue import FibreFamily, Fung, HolzapfelGasserOgden
from simlayer.materials.transversely_isotropic import TransverselyIsotropic

__all__ = [
    "ArrudaBoyce",
    "Corotated",
    "FibreFamily",
    "Fung",
    "Gent",
    "HolzapfelGasserOgden",
    "IsotropicMaterial",
    "J2Plasticity",
    "LinearElastic",
    "Material",
    "MooneyRivlin",
    "MooneyRivlin5",
    "NeoHookean",
    "NeuralFibreReinforced",
    "NeuralHyperelastic",
    "Ogden",
    "StVenantKirchhoff",
    "StableNeoHookean",
    "TransverselyIsotropic",
    "Yeoh",
]

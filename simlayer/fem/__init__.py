"""The mesh as finite elements: discrete gradients and their adjoints, integrals, masses, surfaces."""

from simlayer.fem.finite_elements import FiniteElements
from simlayer.fem.rest_shape import RestShaped
from simlayer.fem.surface import lumped_areas

__all__ = [
    "FiniteElements",
    "RestShaped",
    "lumped_areas",
]

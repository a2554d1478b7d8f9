"""The mesh as finite elements: discrete gradients and their adjoints, integrals, masses, surfaces."""

from simlayer.fem.finite_elements import Elements
from simlayer.fem.surface import lumped_areas

__all__ = [
    "Elements",
    "lumped_areas",
]

"""Physical quantities of modules, with units and valid ranges, and replacing their values for one call."""

from simlayer.quantities.quantity import PhysicalModule, Quantity, derived_quantity

__all__ = [
    "PhysicalModule",
    "Quantity",
    "derived_quantity",
]

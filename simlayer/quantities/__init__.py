"""Physical quantities of modules, with units and valid ranges, and replacing their values for one call."""

from simlayer.quantities.quantity import PhysicalModule, Quantity, derived

__all__ = [
    "PhysicalModule",
    "Quantity",
    "derived",
]

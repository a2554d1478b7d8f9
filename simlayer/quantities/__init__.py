"""Physical quantities of modules, with units and valid ranges, and substituting their values for one call."""

from simlayer.quantities.named import NamedTensors
from simlayer.quantities.physical_module import PhysicalModule
from simlayer.quantities.quantity import Quantity, derived_quantity
from simlayer.quantities.stored_values import to_physical, to_stored

__all__ = [
    "NamedTensors",
    "PhysicalModule",
    "Quantity",
    "derived_quantity",
    "to_physical",
    "to_stored",
]

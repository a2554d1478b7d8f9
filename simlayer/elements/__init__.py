"""Reference cells: nodes, edges and faces of each type of element, shape functions, quadrature rules."""

from simlayer.elements.quadrature import Rule
from simlayer.elements.shape_functions import Shape
from simlayer.elements.types import ELEMENT_TYPES, ElementType, element_of

__all__ = [
    "ELEMENT_TYPES",
    "ElementType",
    "Rule",
    "Shape",
    "element_of",
]

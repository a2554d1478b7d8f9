"""Reference cells: nodes, edges and faces of each type of element, shape functions, quadrature rules."""

from simlayer.elements.quadrature import QuadratureRule
from simlayer.elements.shape_functions import ShapeFunctions
from simlayer.elements.types import ELEMENT_TYPES, ElementType, element_of

__all__ = [
    "ELEMENT_TYPES",
    "ElementType",
    "QuadratureRule",
    "ShapeFunctions",
    "element_of",
]

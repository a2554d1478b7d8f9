"""Parts and instances of Abaqus decks: nodes, elements and sets, with numbers of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from simlayer.mesh.abaqus_keywords import Line


class Element(NamedTuple):
    """An element: meshio's name of its shape, and its nodes, by number or as INSTANCE.number."""

    shape: str
    nodes: list[str]
    line: Line


class Members(NamedTuple):
    """What a line adds to a set: numbers and names of sets, of an instance if it says so.

    Attributes:
        of_elements: whether these are elements, whose nodes it adds to a set of nodes.
        face: of which face of the elements these nodes are; all of them without.
    """

    name: str
    line: Line
    fields: list[str]
    instance: str = ""
    of_elements: bool = False
    face: str = ""


Sets = dict[str, list[Members]]  # by their names in capitals: Abaqus takes a and A for the same


@dataclass
class Scope:
    """A part, an instance of one, or what is outside of all parts: numbers and names are its own."""

    name: str = ""
    nodes: dict[int, tuple[float, float, float]] = field(default_factory=dict)
    elements: dict[int, Element] = field(default_factory=dict)
    node_sets: Sets = field(default_factory=dict)
    element_sets: Sets = field(default_factory=dict)
    surfaces: Sets = field(default_factory=dict)
    internal: set[str] = field(default_factory=set)
    sections: set[str] = field(default_factory=set)
    translation: Float[np.ndarray, "3"] = field(default_factory=lambda: np.zeros(3))
    rotation: tuple[float, ...] = ()

    def take(self, part: Scope) -> None:
        """Take everything that a part has; what follows is added to it."""
        self.nodes, self.elements = dict(part.nodes), dict(part.elements)
        self.node_sets = {name: list(entries) for name, entries in part.node_sets.items()}
        self.element_sets = {name: list(entries) for name, entries in part.element_sets.items()}
        self.surfaces = {name: list(entries) for name, entries in part.surfaces.items()}
        self.internal, self.sections = set(part.internal), set(part.sections)

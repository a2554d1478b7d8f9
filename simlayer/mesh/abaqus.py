"""Abaqus decks as meshes: all instances in their places, with the sets of parts and of the assembly.

*NODE, *ELEMENT, *NSET, *ELSET, *SURFACE, *PART, *INSTANCE, *ASSEMBLY and *INCLUDE are read. Loads and
materials are not, nor what joins nodes (*TIE, ...), which a warning says. What makes or moves nodes by a
rule (*NGEN, *SYSTEM, ...) is refused, by file and line.
"""

import math
import warnings
from itertools import groupby, pairwise
from pathlib import Path

import meshio
import numpy as np
from jaxtyping import Float

from simlayer.mesh.abaqus_deck import Deck
from simlayer.mesh.abaqus_elements import face_nodes
from simlayer.mesh.abaqus_model import Element, Members, Scope

ID = "abaqus:id"


def read_abaqus(path: Path) -> meshio.Mesh:
    """Read the nodes, elements and sets of a deck.

    A surface is the set of the nodes of its faces. Sets of instances are called INSTANCE.name, as Abaqus
    does, unless there is one instance only. Sets that Abaqus/CAE made for itself (INTERNAL) name elements
    only where a section refers to them.
    """
    deck = Deck(path)
    mesh = _Assembly(deck, path).mesh()
    if deck.ends_within_elements:
        warnings.warn(
            f"{path} ends with the line of an element: it may be cut short. Read were {deck.counts()}; "
            "if these are all, a comment as the last line (** end) says so.",
            stacklevel=4,
        )
    return mesh


class _Assembly:
    """Nodes and elements of all instances under common indices."""

    def __init__(self, deck: Deck, path: Path) -> None:
        self.outside, self.instances = deck.outside, deck.instances or deck.parts
        unplaced = [
            part.name for name, part in deck.parts.items() if name not in deck.placed and part.elements
        ]
        if unplaced and (deck.instances or len(deck.parts) > 1):
            what = "are left out" if deck.instances else "stay where they are"
            warnings.warn(f"{path}: parts that no *INSTANCE places {what}: {unplaced}.", stacklevel=5)
        self.scopes = [*self.instances.values(), deck.outside]
        self.nodes: dict[str, dict[int, int]] = {}
        self.elements: dict[str, dict[int, int]] = {}
        for scope in self.scopes:
            for table, own in ((self.nodes, scope.nodes), (self.elements, scope.elements)):
                start = sum(map(len, table.values()))
                table[scope.name] = dict(zip(own, range(start, start + len(own)), strict=True))
        self.connectivity = [
            (element.shape, self._nodes(scope, element))
            for scope in self.scopes
            for element in scope.elements.values()
        ]

    def mesh(self) -> meshio.Mesh:
        points = np.concatenate([_places(scope) for scope in self.scopes])
        blocks = [
            (shape, np.array([nodes for _, nodes in group]))
            for shape, group in groupby(self.connectivity, key=lambda entry: entry[0])
        ]
        bounds = np.cumsum([0, *(len(block) for _, block in blocks)])
        point_sets, cell_sets = {}, {}
        for scope in self.scopes:
            for name in scope.node_sets:
                found = np.unique(self._members(scope, name, (), of_elements=False))
                point_sets[self._name(scope, "node_sets", name)] = found
            for name, entries in scope.surfaces.items():
                members = [node for entry in entries for node in self._entry(scope, entry, (), False)]
                if (spelled := self._name(scope, "surfaces", name)) in point_sets:
                    entries[0].line.warn(f"the surface {spelled} is left out: a set of nodes has its name.")
                else:
                    point_sets[spelled] = np.unique(members)
            for name in scope.element_sets:
                if name in scope.internal and name not in scope.sections:
                    continue
                found = np.unique(self._members(scope, name, (), of_elements=True))
                cell_sets[self._name(scope, "element_sets", name)] = [
                    found[(found >= start) & (found < end)] - start for start, end in pairwise(bounds)
                ]
        nodes = np.array([number for scope in self.scopes for number in scope.nodes], dtype=np.int64)
        elements = np.array([number for scope in self.scopes for number in scope.elements], dtype=np.int64)
        return meshio.Mesh(
            points,
            blocks,
            point_data={ID: nodes},
            cell_data={ID: [elements[start:end] for start, end in pairwise(bounds)]},
            point_sets=point_sets,
            cell_sets=cell_sets,
        )

    def _nodes(self, scope: Scope, element: Element) -> list[int]:
        table, nodes = self.nodes[scope.name], []
        for text in element.nodes:
            if "." in text:
                scope, text = self._within(scope, text)
                table = self.nodes[scope.name]
            number = element.line.integer(text)
            if number not in table:
                raise element.line.error(f"there is no node {number}.")
            nodes.append(table[number])
        return nodes

    def _name(self, scope: Scope, kind: str, name: str) -> str:
        spelled = getattr(scope, kind)[name][0].name
        outside = getattr(self.outside, kind)
        plain = scope is self.outside or (len(self.instances) == 1 and name not in outside)
        return spelled if plain else f"{scope.name}.{spelled}"

    def _within(self, scope: Scope, text: str) -> tuple[Scope, str]:
        """Return the instance that INSTANCE.name or INSTANCE.number refers to, and the rest."""
        instance, dot, rest = text.partition(".")
        if dot and instance.upper() in self.instances:
            return self.instances[instance.upper()], rest
        return scope, text

    def _members(self, scope: Scope, name: str, within: tuple[str, ...], *, of_elements: bool) -> list[int]:
        """Return the indices of the elements or nodes in a set, those of the sets in it included."""
        sets = scope.element_sets if of_elements else scope.node_sets
        found: list[int] = []
        for entry in sets[name]:
            if name in within:
                raise entry.line.error(f"the set {name} contains itself.")
            found += self._entry(self._target(scope, entry), entry, (*within, name), of_elements)
        return found

    def _target(self, scope: Scope, entry: Members) -> Scope:
        if not entry.instance:
            return scope
        if entry.instance.upper() not in self.instances:
            raise entry.line.error(f"there is no instance {entry.instance!r}: {list(self.instances)}.")
        return self.instances[entry.instance.upper()]

    def _entry(self, scope: Scope, entry: Members, within: tuple[str, ...], of_elements: bool) -> list[int]:
        if entry.of_elements:
            cells = self._entry(scope, entry._replace(of_elements=False), (), True)
            return [node for cell in cells for node in face_nodes(*self.connectivity[cell], entry)]
        kind = "element" if of_elements else "node"
        found, missing = list[int](), list[str]()
        for text in entry.fields:
            place, rest = self._within(scope, text)
            table = (self.elements if of_elements else self.nodes)[place.name]
            sets = place.element_sets if of_elements else place.node_sets
            if rest.isdigit() and int(rest) in table:
                found.append(table[int(rest)])
            elif rest.isdigit():
                missing.append(text)
            elif rest.upper() in sets:
                found += self._members(place, rest.upper(), within, of_elements=of_elements)
            else:
                raise entry.line.error(f"there is no {kind} set {text!r}.")
        if missing:
            warnings.warn(
                f"{entry.line.path}, line {entry.line.number}: the set holds {len(missing)} {kind}s that the "
                f"deck does not have, from {missing[0]} on; they are left out.",
                stacklevel=8,
            )
        return found


def _places(scope: Scope) -> Float[np.ndarray, "_ 3"]:
    """Return where the nodes of a scope are: translated first, then rotated, as Abaqus does.

    The MCNP 6.3 manual (2022), section 8.7.2, states this order for the same lines.
    """
    points = np.array(list(scope.nodes.values()), dtype=float).reshape(-1, 3) + scope.translation
    if not scope.rotation:
        return points
    start, end, angle = np.array(scope.rotation[:3]), np.array(scope.rotation[3:6]), scope.rotation[6]
    axis = (end - start) / np.linalg.norm(end - start)
    arms = points - start
    along = np.outer(arms @ axis, axis)
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    return start + along + cosine * (arms - along) + sine * np.cross(axis, arms)

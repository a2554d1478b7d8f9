"""Reading an Abaqus deck: what is outside of parts, the parts, and their instances."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from simlayer.mesh.abaqus_elements import OTHERS, SOLIDS, nodes_of_solid
from simlayer.mesh.abaqus_keywords import Keyword, Line, read_keywords
from simlayer.mesh.abaqus_model import Element, Members, Scope, Sets

# What makes nodes or elements from others, moves them, or takes them from elsewhere.
_UNREAD = (
    "NGEN", "NFILL", "NCOPY", "NMAP", "ELGEN", "ELCOPY", "SYSTEM", "IMPORT", "IMPERFECTION",
    "SYMMETRIC MODEL GENERATION",
)  # fmt: skip
# What joins nodes that stay two in the mesh.
_JOINING = (
    "TIE", "MPC", "EQUATION", "COUPLING", "KINEMATIC COUPLING", "RIGID BODY", "EMBEDDED ELEMENT",
    "SHELL TO SOLID COUPLING",
)  # fmt: skip
_NESTED = ("PART", "INSTANCE", "ASSEMBLY", "STEP")


class Deck:
    """A whole deck: what is outside of parts, the parts, and their instances, in the order of the file."""

    def __init__(self, path: Path) -> None:
        self.outside, self.parts, self.instances = Scope(), dict[str, Scope](), dict[str, Scope]()
        self.placed: set[str] = set()
        self._scope, self._open, last = self.outside, list[Keyword](), None
        readers: dict[str, Callable[[Keyword], None]] = {
            "NODE": self._nodes,
            "ELEMENT": self._elements,
            "NSET": self._node_set,
            "ELSET": self._element_set,
            "PART": self._part,
            "INSTANCE": self._instance,
            "SURFACE": self._surface,
            "SOLID SECTION": self._section,
        }
        for last in read_keywords(path):
            if last.name in _UNREAD:
                raise last.line.error(
                    f"*{last.name} changes nodes or elements and is not read; write the mesh as it is then."
                )
            if last.name in _JOINING:
                last.line.warn(
                    f"*{last.name} is not read, and what it joins comes apart. Where nodes coincide, "
                    "read_mesh(..., merge=) makes them one; else mesh the parts as one body."
                )
            self._nest(last)
            if last.name in readers:
                readers[last.name](last)
        if self._open:
            keyword = self._open[-1]
            raise keyword.line.error(f"*{keyword.name} has no *END {keyword.name}: the deck is cut short.")
        self.ends_within_elements = last is not None and last.name == "ELEMENT" and _ends_with(last.data)

    def counts(self) -> str:
        """Return how many elements of each shape the parts, instances and what is outside of them have."""
        scopes = [*(self.instances or self.parts).values(), self.outside]
        counts = Counter(element.shape for scope in scopes for element in scope.elements.values())
        return ", ".join(f"{count} {shape}" for shape, count in counts.items())

    def _nest(self, keyword: Keyword) -> None:
        if keyword.name in _NESTED:
            self._open.append(keyword)
        elif keyword.name.startswith("END ") and keyword.name[4:] in _NESTED:
            if not self._open or self._open.pop().name != keyword.name[4:]:
                raise keyword.line.error(f"*{keyword.name} without its *{keyword.name[4:]}.")
            if keyword.name[4:] in ("PART", "INSTANCE"):
                self._scope = self.outside

    def _part(self, keyword: Keyword) -> None:
        name = keyword.required("NAME")
        self._scope = self.parts[name.upper()] = Scope(name)

    def _instance(self, keyword: Keyword) -> None:
        name, part = keyword.required("NAME"), keyword.required("PART")
        if part.upper() not in self.parts:
            raise keyword.line.error(f"there is no part {part!r}; there are {list(self.parts)}.")
        if name.upper() in self.instances:
            raise keyword.line.error(f"there are two instances {name!r}.")
        self._scope = self.instances[name.upper()] = Scope(name)
        self._scope.take(self.parts[part.upper()])
        self.placed.add(part.upper())
        numbers = [[line.real(text) for text in line.fields()] for line in keyword.data]
        lengths = [len(row) for row in numbers]
        if lengths not in ([], [3], [3, 7]) or (numbers[1:] and numbers[1][:3] == numbers[1][3:6]):
            raise keyword.line.error(
                "an instance is placed by three numbers (a translation), then seven (two different points on "
                f"the axis of a rotation, and its angle in degrees), got {numbers}."
            )
        if numbers:
            self._scope.translation = np.array(numbers[0])
        self._scope.rotation = tuple(*numbers[1:])

    def _nodes(self, keyword: Keyword) -> None:
        if keyword.parameters.get("SYSTEM", "R").upper() != "R":
            raise keyword.line.error("SYSTEM= is not read; write nodes in rectangular coordinates.")
        numbers = []
        for line in keyword.data:
            first, *rest = line.fields() or [""]
            number = line.integer(first)
            x, y, z, *_ = [line.real(text) for text in rest] + [0.0] * 3
            if self._scope.nodes.setdefault(number, (x, y, z)) != (x, y, z):
                raise line.error(f"node {number} has another place already.")
            numbers.append(first)
        if "NSET" in keyword.parameters:
            _add(self._scope.node_sets, Members(keyword.required("NSET"), keyword.line, numbers))

    def _elements(self, keyword: Keyword) -> None:
        kind = keyword.required("TYPE").upper()
        count = nodes_of_solid(kind, keyword.line)
        pending, numbers = list[str](), list[str]()
        for line in keyword.data:
            pending += line.fields()
            if len(pending) <= count:
                continue
            shape = (SOLIDS if count else OTHERS).get(len(pending) - 1, "")
            if not shape or (count and len(pending) > count + 1):
                raise line.error(f"an element of type {kind} cannot have {len(pending) - 1} nodes.")
            number, element = line.integer(pending[0]), Element(shape, pending[1:], line)
            if self._scope.elements.setdefault(number, element).nodes != element.nodes:
                raise line.error(f"element {number} has other nodes already.")
            numbers.append(pending[0])
            pending = []
        if pending:
            raise keyword.data[-1].error(f"the last element has {len(pending) - 1} of {count} nodes.")
        if "ELSET" in keyword.parameters:
            _add(self._scope.element_sets, Members(keyword.required("ELSET"), keyword.line, numbers))

    def _node_set(self, keyword: Keyword) -> None:
        self._set(keyword, self._scope.node_sets, keyword.required("NSET"))

    def _element_set(self, keyword: Keyword) -> None:
        self._set(keyword, self._scope.element_sets, keyword.required("ELSET"))
        if "INTERNAL" in keyword.parameters:
            self._scope.internal.add(keyword.required("ELSET").upper())

    def _set(self, keyword: Keyword, sets: Sets, name: str) -> None:
        instance = keyword.parameters.get("INSTANCE", "")
        if sets is self._scope.node_sets and "ELSET" in keyword.parameters:
            _add(sets, Members(name, keyword.line, [keyword.required("ELSET")], instance, of_elements=True))
        elif not keyword.data:
            keyword.line.warn(f"*{keyword.name} names no members of {name}: is the deck cut short here?")
        for line in keyword.data:
            fields = line.fields()
            if "GENERATE" in keyword.parameters:
                numbers = [line.integer(text) for text in fields]
                if len(numbers) not in (2, 3) or numbers[-1] < 1:
                    raise line.error(
                        f"GENERATE needs a first number, a last one, and an increment, got {line.text!r}."
                    )
                first, end, step = [*numbers, 1][:3]
                fields = list(map(str, range(first, end + 1, step)))
            _add(sets, Members(name, line, fields, instance))

    def _surface(self, keyword: Keyword) -> None:
        name, kind = keyword.required("NAME"), keyword.parameters.get("TYPE", "ELEMENT").upper()
        if "INTERNAL" in keyword.parameters:
            return
        entries = []
        for line in keyword.data:
            target, face = [*line.fields(), "", ""][:2]
            readable = kind == "NODE" or re.fullmatch("S[1-6]|SPOS|SNEG", face.upper())
            if kind not in ("ELEMENT", "NODE") or "COMBINE" in keyword.parameters or not readable:
                line.warn(
                    f"the surface {name} is left out: read are lists of nodes (TYPE=NODE) and of faces of "
                    "elements, S1 to S6, SPOS or SNEG. Name its nodes by *NSET."
                )
                return
            face = "" if kind == "NODE" else face.upper()
            entries.append(Members(name, line, [target], of_elements=kind == "ELEMENT", face=face))
        for entry in entries:
            _add(self._scope.surfaces, entry)

    def _section(self, keyword: Keyword) -> None:
        self._scope.sections.add(keyword.required("ELSET").upper())


def _add(sets: Sets, members: Members) -> None:
    # A set that is defined again grows.
    sets.setdefault(members.name.upper(), []).append(members)


def _ends_with(lines: list[Line]) -> bool:
    """Whether a file's last line, comments included, is the last of these."""
    if not lines:
        return False
    text = lines[-1].path.read_text(errors="replace").rstrip()
    return text.count("\n") + 1 == lines[-1].number

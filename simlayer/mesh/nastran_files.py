"""What Nastran files say that meshio does not read: found before and counted after it reads them."""

import re
from pathlib import Path

import meshio

from simlayer.mesh.validation import MeshError

_CARD = re.compile(r"\s{0,7}([A-Za-z]+\d?[A-Za-z]*)(\*?)")
_SOLIDS = ("CTETRA", "CPYRA", "CPYRAM", "CPENTA", "CHEXA")
_REMEDY = "Write the file in upper case and small fields, or as .vtu or Gmsh .msh 4.1."


def check_cards(path: Path) -> dict[str, int]:
    """Return how many nodes and solid elements the bulk data have.

    Raises MeshError, by line, for what meshio passes over: other files, coordinate systems, and elements that
    it does not recognize.
    """
    counts, bulk = dict.fromkeys(("GRID", *_SOLIDS), 0), False
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        card = _CARD.match(line)
        name = card[1] if card else ""
        if not bulk or name == "ENDDATA":
            if bulk:
                break
            bulk = line.strip().startswith("BEGIN BULK")
        elif card and (name.upper() in ("INCLUDE", "GRDSET") or _unread(name, card[2])):
            raise MeshError(f"{path}, line {number}: {name}{card[2]} would be passed over. {_REMEDY}")
        elif card and name in counts:
            counts[name] += 1
            if name == "GRID" and (system := _system(line, card[2])) not in ("", "0"):
                raise MeshError(
                    f"{path}, line {number}: the node is given in coordinate system {system}; only the "
                    "basic one (0 or blank) is read. Write the nodes in it."
                )
    return counts


def check_counts(path: Path, file: meshio.Mesh, counts: dict[str, int]) -> None:
    """Check that as many nodes and solid elements were read as the file has."""
    solids = sum(len(block) for block in file.cells if block.dim == 3)
    expected = sum(count for name, count in counts.items() if name != "GRID")
    if (len(file.points), solids) != (counts["GRID"], expected):
        raise MeshError(
            f"{path} has {counts['GRID']} nodes and {expected} solid elements, of which {len(file.points)} "
            f"and {solids} could be read. {_REMEDY}"
        )


def _unread(name: str, star: str) -> bool:
    known = name.upper() == "GRID" or name.upper() in _SOLIDS
    return known and (name != name.upper() or name == "CPYRAM" or (star == "*" and name != "GRID"))


def _system(line: str, star: str) -> str:
    """Return the coordinate system of a GRID card, in free, large or small fields."""
    if "," in line:
        return "".join(line.split(",")[2:3]).strip()
    return (line[24:40] if star else line[16:24]).strip()

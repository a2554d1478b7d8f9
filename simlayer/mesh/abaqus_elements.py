"""Elements of Abaqus: what shape a type has, and which nodes a face."""

from __future__ import annotations

import re

from simlayer.mesh.abaqus_keywords import Line
from simlayer.mesh.abaqus_model import Members
from simlayer.mesh.cell_shapes import CELL_SHAPES

# Stress, acoustic, thermal and coupled elements: the number of nodes says which shape.
_SOLID = re.compile(r"[A-Z]*C3D(\d+)[A-Z]*")
SOLIDS = {
    4: "tetra", 5: "pyramid", 6: "wedge", 8: "hexahedron", 10: "tetra10", 15: "wedge15", 20: "hexahedron20",
    27: "hexahedron27",
}  # fmt: skip
# Shells, membranes, plane elements, beams, trusses, points and what connects nodes.
_OTHER = re.compile(
    r"(S\d|STRI|DS\d|CPS|CPE|CAX|CGAX|DC[12]D|DCAX|AC2D|ACAX|M3D|MAX|MGAX|SFM|R[23]D|[RSD]?SAX|RAX|F[23]D|"
    r"T[23]D|B[23]\d|PIPE|ELBOW|FRAME|MASS|ROTARYI|HEATCAP|SPRING|DASHPOT|CONN|GAP|DCOUP|JOINT|ITT|ITS)[A-Z0-9]*"
)
OTHERS = {1: "vertex", 2: "line", 3: "triangle", 4: "quad", 6: "triangle6", 8: "quad8", 9: "quad9"}

# The faces S1, S2, ... among those of a `CellShape`, by its number of corners.
_FACES: dict[int, tuple[int, ...]] = {
    4: (3, 2, 0, 1), 5: (0, 1, 2, 3, 4), 6: (3, 4, 0, 1, 2), 8: (4, 5, 2, 1, 3, 0),
}  # fmt: skip


def nodes_of_solid(kind: str, line: Line) -> int:
    """Return how many nodes the elements of a type have, 0 if they are surfaces, lines or points.

    Raises:
        MeshError: if elements of this type are not read.
    """
    solid = _SOLID.fullmatch(kind)
    count = int(solid[1]) if solid else 0
    if (solid and count not in SOLIDS) or not (solid or _OTHER.fullmatch(kind)):
        raise line.error(
            f"elements of type {kind} are not read: they are neither solids (C3D4, C3D10, C3D8, C3D20, "
            "hybrid ones too) nor surfaces, lines or points. Remove them."
        )
    return count


def face_nodes(shape: str, nodes: list[int], entry: Members) -> list[int]:
    """Return the nodes of a face of an element; all of them, if no face is named or it is a shell's side."""
    if not entry.face.removeprefix("S").isdigit():
        return nodes
    cell = CELL_SHAPES.get(shape)
    faces = _FACES[cell.corners] if cell else ()
    if cell is None or len(faces) < int(entry.face[1]):
        raise entry.line.error(f"a {shape} has no face {entry.face} that is read.")
    face = cell.faces[faces[int(entry.face[1]) - 1]]
    middles = [
        cell.corners + k for k, (a, b, *_) in enumerate(cell.edges) if cell.is_quadratic and {a, b} <= {*face}
    ]
    return [nodes[k] for k in (*face, *middles)]

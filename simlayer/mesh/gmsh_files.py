"""Gmsh files: wrong ends or counts, found before meshio takes what there is, and orders that it leaves."""

import re
from collections.abc import Iterator
from pathlib import Path

import meshio
import numpy as np

from simlayer.mesh.validation import MeshError

_COUNTED = re.compile(rb"^\$(Nodes|Elements|PhysicalNames|Periodic|Entities)\r?\n", re.MULTILINE)
# meshio has a table with one entry per number of a node up to the largest.
_SPARSEST = 1000
# The order of VTK, by Gmsh's of the same cells ("Node ordering" in its manual), where meshio keeps Gmsh's.
_ORDERS = {
    "wedge18": [0, 1, 2, 3, 4, 5, 6, 9, 7, 12, 14, 13, 8, 10, 11, 15, 17, 16],
    "pyramid14": [0, 1, 2, 3, 4, 5, 8, 10, 6, 7, 9, 11, 12, 13],
}


def order_like_vtk(file: meshio.Mesh) -> None:
    """Put the nodes of wedges and pyramids with middles of faces in the order of VTK."""
    for index, block in enumerate(file.cells):
        if block.type in _ORDERS:
            file.cells[index] = meshio.CellBlock(block.type, np.asarray(block.data)[:, _ORDERS[block.type]])


def check_gmsh(content: bytes, path: Path) -> None:
    """Check that the last section is closed, and that counts and numbers fit the size of the file."""
    if not content.startswith(b"$"):
        return
    if not re.search(rb"\$End\w+\s*$", content[-64:]):
        raise MeshError(f"{path} is cut short: its last line is no $End...; write or copy it again.")
    header = re.match(rb"\$MeshFormat\s+([\d.]+) (\d) \d", content)
    if not header:
        return
    binary = header[2] == b"1"
    for section in _COUNTED.finditer(content):
        name, start = section[1].decode(), section.end()
        for count in _counts(content, start, name, binary and header[1] >= b"4"):
            # Whatever is counted takes at least a byte.
            if not 0 <= count <= len(content):
                raise MeshError(
                    f"{path}: ${name} counts {count}, more than {len(content)} bytes can hold; the file is "
                    "damaged: write or copy it again."
                )
    if binary:
        largest = max(_node_numbers(content, header[1]), default=0)
        if not 0 <= largest <= _SPARSEST * len(content):
            raise MeshError(
                f"{path}: a node has the number {largest}, too large for a table of all numbers; renumber "
                "the mesh (Gmsh: Mesh.Renumber = 1), or write or copy the file again if it is damaged."
            )


def _counts(content: bytes, start: int, name: str, packed: bool) -> list[int]:
    """Return the counts at the beginning of a section: bytes in binary files of format 4, else text."""
    if packed and name != "PhysicalNames":
        size = {"Entities": 4, "Periodic": 1}.get(name, 2)
        return np.frombuffer(content[start : start + 8 * size], dtype="<u8").tolist()
    line = content[start : content.find(b"\n", start)]
    # In format 4 the smallest and the largest number follow the counts of nodes and elements.
    return [int(text) for text in line.split()[:2] if text.isdigit()]


def _node_numbers(content: bytes, version: bytes) -> Iterator[int]:
    """Yield the largest number of a node in each block of a binary file, as far as blocks are whole."""
    section = re.search(rb"^\$Nodes\r?\n", content, re.MULTILINE)
    if not section:
        return
    place = section.end()
    if version.startswith(b"2"):
        place = content.find(b"\n", place) + 1
        end = content.find(b"$EndNodes", place)
        nodes = np.frombuffer(
            content[place : place + (end - place) // 28 * 28], dtype=[("n", "<i4"), ("x", "<f8", 3)]
        )
        yield int(np.abs(nodes["n"].astype(np.int64)).max(initial=0))
    elif version == b"4.1":
        blocks, place = int.from_bytes(content[place : place + 8], "little"), place + 32
        for _ in range(blocks):
            if any(content[place + 8 : place + 12]):
                return  # Coordinates on the surface follow those in space, which meshio refuses.
            count = int.from_bytes(content[place + 12 : place + 20], "little")
            numbers = content[place + 20 : place + 20 + 8 * count]
            yield int(np.frombuffer(numbers[: len(numbers) // 8 * 8], dtype="<u8").max(initial=0))
            place += 20 + 32 * count

"""Images in VTK's legacy files (DATASET STRUCTURED_POINTS), as text or bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from simlayer.mesh.image_arrays import ImageArray, ImageGrid
from simlayer.mesh.validation import MeshError

_TYPES = {
    "char": "i1", "unsigned_char": "u1", "short": "i2", "unsigned_short": "u2", "int": "i4",
    "unsigned_int": "u4", "long": "i8", "unsigned_long": "u8", "float": "f4", "double": "f8",
    "vtkidtype": "i4", "vtktypeint64": "i8",
}  # fmt: skip
_COMPONENTS = {"SCALARS": 1, "VECTORS": 3, "NORMALS": 3, "TENSORS": 9}


def read_structured_points(content: bytes, path: Path) -> ImageGrid:
    """Return the grid and the arrays of an image; raises MeshError for what is not read."""
    return _Legacy(content, path).grid()


class _Legacy:
    """A place in the bytes of a file, and what was read before it."""

    def __init__(self, content: bytes, path: Path) -> None:
        self.content, self.path, self.place = content, path, 0
        header = [self._line() for _ in range(3)]
        self.is_binary = header[2].upper() == "BINARY"
        self.grid_numbers: dict[str, list[float]] = {"SPACING": [1.0] * 3, "ORIGIN": [0.0] * 3}

    def grid(self) -> ImageGrid:
        arrays = list(self._arrays())
        x, y, z = (int(number) for number in self.grid_numbers["DIMENSIONS"])
        spacing, origin = ((a, b, c) for a, b, c in (self.grid_numbers[k] for k in ("SPACING", "ORIGIN")))
        return ImageGrid((x, y, z), spacing, origin, arrays)

    def _arrays(self) -> Iterator[ImageArray]:
        of_cells, count = True, 0
        while self.place < len(self.content):
            words = self._next().split()
            keyword = words[0].upper() if words else ""
            if keyword in ("DIMENSIONS", "SPACING", "ASPECT_RATIO", "ORIGIN"):
                name = "SPACING" if keyword == "ASPECT_RATIO" else keyword
                self.grid_numbers[name] = [float(word) for word in words[1:4]]
            elif keyword in ("CELL_DATA", "POINT_DATA"):
                of_cells, count = keyword == "CELL_DATA", int(words[1])
            elif keyword in _COMPONENTS:
                columns = int(words[3]) if len(words) > 3 else _COMPONENTS[keyword]
                if keyword == "SCALARS":
                    self._line()  # LOOKUP_TABLE
                yield self._array(words[1], words[2], count, columns, of_cells)
            elif keyword == "LOOKUP_TABLE":
                self._numbers("unsigned_char" if self.is_binary else "float", 4 * int(words[2]))
            elif keyword == "FIELD":
                for _ in range(int(words[2])):
                    title, width, rows, kind = self._next().split()[:4]
                    yield self._array(title, kind, int(rows), int(width), of_cells)
            elif keyword not in ("", "DATASET"):
                raise MeshError(f"{self.path}: {words[0]!r} is not read in an image; save it as .vti.")

    def _array(self, name: str, kind: str, rows: int, columns: int, of_cells: bool) -> ImageArray:
        values = self._numbers(kind, rows * columns)
        return ImageArray(name, of_cells, columns == 1 and values.dtype.kind in "iu", lambda: values)

    def _numbers(self, kind: str, count: int) -> np.ndarray:
        if kind.lower() not in _TYPES:
            raise MeshError(f"{self.path}: numbers of type {kind} are not read; save them as int.")
        dtype = np.dtype(">" + _TYPES[kind.lower()])
        if self.is_binary:
            start, self.place = self.place, self.place + count * dtype.itemsize
            return np.frombuffer(self.content[start : self.place], dtype=dtype)
        numbers: list[str] = []
        while len(numbers) < count and self.place < len(self.content):
            numbers += self._line().split()
        return np.array(numbers, dtype=dtype)

    def _next(self) -> str:
        """Return the next line that is neither empty nor in a block of METADATA, which an empty one ends."""
        while self.place < len(self.content):
            if (line := self._line()) == "METADATA":
                while self._line():
                    pass
            elif line:
                return line
        return ""

    def _line(self) -> str:
        end = self.content.find(b"\n", self.place)
        end = len(self.content) if end < 0 else end
        line, self.place = self.content[self.place : end], end + 1
        return line.decode("ascii", errors="replace").strip()

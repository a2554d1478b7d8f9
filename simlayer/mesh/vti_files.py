"""Images of VTK in XML (.vti): text, base64 and raw bytes, compressed or not.

VTK would read them, too, and weighs more than all that simlayer needs beside torch.
"""

from __future__ import annotations

import base64
import lzma
import re
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from simlayer.mesh.image_arrays import ImageArray, ImageGrid
from simlayer.mesh.validation import MeshError

_APPENDED = re.compile(rb"<AppendedData[^>]*>\s*_")
_TYPES = {
    **{f"Int{bits}": f"i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UInt{bits}": f"u{bits // 8}" for bits in (8, 16, 32, 64)},
    "Float32": "f4",
    "Float64": "f8",
}
_COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "vtkZLibDataCompressor": zlib.decompress,
    "vtkLZMADataCompressor": lzma.decompress,
}
_IDENTITY = [1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0]


class _Coding(NamedTuple):
    """How a file writes its arrays."""

    order: str
    header: str
    compressor: str
    appended: bytes
    appended_base64: bool


def read_vti(content: bytes, path: Path) -> ImageGrid:
    """Return the grid and the arrays of an image; raises MeshError for what is not read."""
    appended = _APPENDED.search(content)
    text = content[: appended.start()] + b"</VTKFile>" if appended else content
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise MeshError(f"{path} could not be read: {error}. Is it complete?") from None
    image = root.find("ImageData")
    pieces = [] if image is None else image.findall("Piece")
    if image is None or len(pieces) != 1:
        raise MeshError(
            f"{path}: an image of one piece is read, got {len(pieces)} pieces; save it as one .vti."
        )
    numbers = [float(text) for text in image.get("Direction", "").split()] or _IDENTITY
    if not np.allclose(numbers, _IDENTITY):
        raise MeshError(f"{path}: the axes of an image must be x, y and z, got the directions {numbers}.")
    coding = _Coding(
        ">" if root.get("byte_order") == "BigEndian" else "<",
        _TYPES[root.get("header_type", "UInt32")],
        root.get("compressor", ""),
        content[appended.end() :] if appended else b"",
        appended is not None and b"base64" in appended[0],
    )
    arrays = [
        ImageArray(
            array.get("Name", ""),
            kind == "CellData",
            array.get("NumberOfComponents", "1") == "1" and "Int" in array.get("type", ""),
            partial(_values, array, coding, path),
        )
        for kind in ("CellData", "PointData")
        for array in pieces[0].findall(f"{kind}/DataArray")
    ]
    extent = np.array(pieces[0].get("Extent", image.get("WholeExtent", "")).split(), dtype=int)
    spacing = np.array(image.get("Spacing", "1 1 1").split(), dtype=float)
    origin = np.array(image.get("Origin", "0 0 0").split(), dtype=float) + extent[::2] * spacing
    points = extent[1::2] - extent[::2] + 1
    return ImageGrid(tuple(points.tolist()), tuple(spacing.tolist()), tuple(origin.tolist()), arrays)


def _values(array: ElementTree.Element, coding: _Coding, path: Path) -> np.ndarray:
    name, kind = array.get("type", ""), array.get("format", "ascii")
    if name not in _TYPES:
        raise MeshError(f"{path}: numbers of type {name} are not read; save them as Int32.")
    dtype = np.dtype(coding.order + _TYPES[name])
    if kind == "ascii":
        return np.array((array.text or "").split(), dtype=dtype)
    if kind == "appended":
        content, is_base64 = coding.appended[int(array.get("offset", 0)) :], coding.appended_base64
    else:
        content, is_base64 = (array.text or "").encode(), True
    return np.frombuffer(_decoded(_bytes(content) if is_base64 else content, coding, path), dtype=dtype)


def _bytes(content: bytes) -> bytes:
    # What begins with a header of its own is padded before the rest begins.
    ends = re.finditer(rb"[A-Za-z0-9+/]+={0,2}", content)
    return b"".join(base64.b64decode(part[0][: len(part[0]) // 4 * 4]) for part in ends)


def _decoded(content: bytes, coding: _Coding, path: Path) -> bytes:
    size = np.dtype(coding.header).itemsize

    def numbers(count: int, first: int = 0) -> list[int]:
        return np.frombuffer(content, coding.order + coding.header, count, first * size).tolist()

    if not coding.compressor:
        (length,) = numbers(1)
        return content[size : size + length]
    if coding.compressor not in _COMPRESSORS:
        raise MeshError(f"{path}: {coding.compressor} is not read; save the image with zlib, or none.")
    (blocks,) = numbers(1)
    lengths, place, parts = numbers(blocks, 3), (3 + blocks) * size, []
    for length in lengths:
        parts.append(_COMPRESSORS[coding.compressor](content[place : place + length]))
        place += length
    return b"".join(parts)

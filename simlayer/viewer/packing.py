"""Motions as compact bytes for a browser, where assets/unpack.js unpacks them."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from simlayer.viewer.motion import SurfaceMotion

# The largest numbers of 16 bits, for positions, and of 8 bits, as many as a colour map has colours.
_STEPS, _COLORS = 65535, 255


class Packed:
    """The bytes of arrays, one after the other, each aligned to four bytes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, array: np.ndarray) -> int:
        """Append an array in little-endian order; return the offset at which it begins [bytes]."""
        start = self._size
        content = array.astype(array.dtype.newbyteorder("<")).tobytes()
        content += bytes(-len(content) % 4)
        self._parts.append(content)
        self._size += len(content)
        return start

    def text(self) -> str:
        """Return all bytes, compressed by zlib, in base64."""
        return as_text(b"".join(self._parts))


def as_text(content: bytes) -> str:
    """Return bytes compressed by zlib, in base64."""
    return base64.b64encode(zlib.compress(content, 6)).decode("ascii")


def pack_motion(
    packed: Packed, motion: SurfaceMotion, ranges: dict[str, tuple[float, float]]
) -> dict[str, Any]:
    """Append the arrays of a motion; return their offsets, and what is needed to decode them."""
    low, high = motion.positions.min((0, 1)), motion.positions.max((0, 1))
    scale = np.where(high > low, high - low, 1.0) / _STEPS
    codes = np.rint((motion.positions - low) / scale).astype(np.uint16)
    # All low bytes, then all high ones, most of which are zero: zlib compresses that best.
    planes = _changes(codes).reshape(-1, 1).astype("<u2").view(np.uint8).T
    return {
        "name": motion.name,
        "times": motion.times.tolist(),
        "vertices": motion.positions.shape[1],
        "low": low.tolist(),
        "scale": scale.tolist(),
        "positions": packed.add(planes),
        "triangles": len(motion.triangles),
        "faces": packed.add(motion.triangles.astype(np.uint32)),
        "fields": {
            name: packed.add(_changes(_color_codes(values, *ranges[name])))
            for name, values in motion.fields.items()
        },
        "points": [
            {
                "name": name,
                "times": recording.times.tolist(),
                "count": recording.markers.shape[1],
                "positions": packed.add(recording.markers.cpu().numpy().astype(np.float32)),
            }
            for name, recording in motion.points.items()
        ],
    }


def field_ranges(motions: Sequence[SurfaceMotion]) -> dict[str, tuple[float, float]]:
    """Return the range of colours of each field over all motions, from zero for most non-negative fields."""
    ranges: dict[str, tuple[float, float]] = {}
    for motion in motions:
        for name, values in motion.fields.items():
            low, high = ranges.get(name, (np.inf, -np.inf))
            ranges[name] = min(low, float(values.min())), max(high, float(values.max()))
    # A constant field looks constant only in a range that is not empty, such as one from zero. Fields that
    # vary by less than half of their largest value keep their own range.
    return {
        name: (0.0, high) if 0 <= low < 0.5 * high or low == high > 0 else (low, high)
        for name, (low, high) in ranges.items()
    }


def _changes(codes: np.ndarray) -> np.ndarray:
    """Return the first frame and the differences between frames, modulo the size of the integers."""
    return np.concatenate([codes[:1], codes[1:] - codes[:-1]])


def _color_codes(values: Float[np.ndarray, "T V"], low: float, high: float) -> np.ndarray:
    return np.rint((values - low) / ((high - low) or 1.0) * _COLORS).astype(np.uint8)

"""Modes without stiffness that are no rigid motion of a whole piece."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse.linalg import ArpackError, eigsh

from simlayer.solvers.block_matrix import BlockMatrix

# Stiffness relative to that of a vertex that is no more than rounding.
_ROUNDING = {torch.float64: 1e-9, torch.float32: 3e-7}
# How many modes are looked for, and in how many unknowns factors can be had.
_MODES, _UNKNOWNS = 6, 60_000


def soft_modes(matrix: BlockMatrix, sample: int) -> list[list[int]]:
    """Return for each of the first modes without stiffness the vertices that it moves, the fastest first.

    Empty where there are none, and where the matrix is too large for them to be found.
    """
    tangent, small = matrix.to_scipy(sample), _ROUNDING[matrix.values.dtype]
    size = tangent.shape[0]
    scale = float(np.abs(tangent.diagonal()).mean())
    if not (_MODES < size <= _UNKNOWNS and np.isfinite(tangent.data).all() and scale > 0):
        return []
    start = np.random.default_rng(0).standard_normal(size)
    try:
        values, vectors = eigsh(tangent, k=_MODES, sigma=-small * scale, v0=start)
    except (ArpackError, RuntimeError):
        return []
    lengths = np.linalg.norm(vectors.T.reshape(_MODES, -1, 3), axis=-1)
    found = [length for value, length in zip(values, lengths, strict=True) if abs(value) <= small * scale]
    return [[int(v) for v in np.argsort(-length) if length[v] > 0.1 * length.max()] for length in found]

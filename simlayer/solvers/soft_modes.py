"""Modes without stiffness that are no rigid motion of a whole piece."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse.linalg import ArpackError, eigsh

from simlayer.solvers.block_matrix import BlockMatrix

# Stiffness that is no more than rounding, relative to that of springs between vertices against the motion.
_ROUNDING = {torch.float64: 1e-12, torch.float32: 5e-8}
# How many modes are looked for, and in how many unknowns factors can be had.
_MODES, _UNKNOWNS = 6, 60_000


def soft_modes(matrix: BlockMatrix, sample: int) -> list[list[int]]:
    """Return for each of the first modes without stiffness the vertices that it moves, the fastest first.

    Empty where there are none, and where the matrix is too large for them to be found.
    """
    # Without what is fixed: its rows are those of the identity, which is soft beside a stiff body.
    free = matrix.pattern.free.flatten().nonzero().flatten().cpu().numpy()
    tangent, small = matrix.to_scipy(sample)[free][:, free], _ROUNDING[matrix.values.dtype]
    size = tangent.shape[0]
    scale = float(np.abs(tangent.diagonal()).mean())
    if not (_MODES < size <= _UNKNOWNS and np.isfinite(tangent.data).all() and scale > 0):
        return []
    start = np.random.default_rng(0).standard_normal(size)
    try:
        values, vectors = eigsh(tangent, k=_MODES, sigma=-small * scale, v0=start)
    except (ArpackError, RuntimeError):
        return []
    moves = np.zeros((_MODES, matrix.pattern.free.numel()))
    moves[:, free] = vectors.T
    vertex_moves = moves.reshape(_MODES, -1, 3)
    lengths = np.linalg.norm(vertex_moves, axis=-1)
    without = np.abs(values) <= small * _spring_energies(matrix, sample, vertex_moves)
    found = lengths[without]
    return [[int(v) for v in np.argsort(-length) if length[v] > 0.1 * length.max()] for length in found]


def _spring_energies(
    matrix: BlockMatrix, sample: int, moves: Float[np.ndarray, "K N 3"]
) -> Float[np.ndarray, "K"]:
    """Return what motions would cost if each block of the matrix were a spring between its two vertices.

    A slender body bends with little stiffness beside that of a vertex, but with little difference of
    neighbours too.
    """
    columns = matrix.pattern.columns.cpu().numpy()
    rows = np.repeat(np.arange(moves.shape[1]), matrix.pattern.starts.diff().cpu().numpy())
    springs = np.linalg.norm(matrix.values[sample].double().cpu().numpy(), axis=(-1, -2))
    energies: np.ndarray = (springs * np.square(moves[:, rows] - moves[:, columns]).sum(-1)).sum(-1) / 2
    return energies

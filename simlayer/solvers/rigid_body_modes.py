"""Rigid-body modes without stiffness."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.solvers.problem import MinimizationProblem, flattened

_NAMES = [f"{motion} {axis}" for motion in ("translation along", "rotation about") for axis in "xyz"]
# What is smaller is rounding: squared lengths of motions, and stiffness relative to that of a vertex.
_ROUNDING = {torch.float64: 1e-11, torch.float32: 1e-6}


def rigid_motions(positions: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch 6 N 3"]:
    """Return translations along the axes and rotations about the centre, of unit length each."""
    arms = positions - positions.mean(-2, keepdim=True)
    axes = torch.eye(3, dtype=positions.dtype, device=positions.device)[:, None]
    arms = arms[..., None, :, :].expand(*arms.shape[:-2], 3, *arms.shape[-2:])
    motions = torch.cat([axes.expand_as(arms), torch.linalg.cross(axes.expand_as(arms), arms)], -3)
    # A body without extent does not rotate.
    lengths = motions.flatten(-2).norm(dim=-1).clamp(min=torch.finfo(positions.dtype).tiny)
    return motions / lengths[..., None, None]


def zero_stiffness_modes(
    problem: MinimizationProblem,
    positions: Float[Tensor, "*batch N 3"],
    free: Float[Tensor, "N 3"],
    vertices: Int[Tensor, "V"] | None = None,
) -> list[str]:
    """Return the names of the rigid-body modes that no stiffness resists at these positions.

    Args:
        problem: the problem whose tangent resists.
        positions: of each sample; the modes are those of the first sample that has any.
        free: which components are not fixed.
        vertices: those that move, where it is a piece of the body only.
    """
    places, small = flattened(positions), _ROUNDING[positions.dtype]
    motions = rigid_motions(places)
    if vertices is not None:
        motions = torch.zeros_like(motions).index_copy(2, vertices, rigid_motions(places[:, vertices]))
    fixed = ((1 - free) * motions).flatten(-2)
    # Combinations of motions that move nothing that is fixed have no length there.
    lengths, combinations = torch.linalg.eigh(fixed @ fixed.mT)
    if not bool((lengths < small).any()):
        return []
    tangent = problem.tangent(positions, projected=False)
    multiply = tangent.multiplication()
    images = torch.stack([multiply(motion.contiguous()) for motion in motions.unbind(1)], 1)
    stiffness = motions.flatten(-2) @ images.flatten(-2).mT
    # What is fixed has the rows of the identity, which is no stiffness of the body.
    diagonal = free * tangent.matrix.diagonal_blocks().diagonal(dim1=-2, dim2=-1).abs()
    scale = diagonal.sum((-1, -2)) / free.sum().clamp(min=1)
    for sample, length in enumerate(lengths):
        allowed = combinations[sample][:, length < small]
        values, vectors = torch.linalg.eigh(allowed.T @ stiffness[sample] @ allowed)
        soft = allowed @ vectors[:, values.abs() <= small * scale[sample]]
        shares = soft.square().sum(1)
        if bool((shares > 0).any()):
            # A rotation about another axis is one about the centre and a translation.
            return [name for name, share in zip(_NAMES, shares.tolist(), strict=True) if share > 0.01]
    return []

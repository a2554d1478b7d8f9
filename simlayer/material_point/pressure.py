"""Incompressibility: det F = 1, and the pressure that keeps it, of which a free component is the measure."""

from __future__ import annotations

from simlayer.linalg.matrix3 import Matrix3


def isochoric(F: Matrix3, free: int) -> Matrix3:
    """Return F with one component, by its place in the nine, such that det F = 1."""
    parts = list(F)
    parts[free] = parts[free] + (1 - F.det()) / F.cofactor()[free]  # the determinant is linear in it
    return Matrix3(*parts)


def without_stress(P: Matrix3, F: Matrix3, free: int) -> Matrix3:
    """Return the nominal stress P [Pa] with the pressure for which one component of it is zero."""
    cofactor = F.cofactor()
    return P - cofactor * (P[free] / cofactor[free])

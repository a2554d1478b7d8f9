"""Quadrature on reference lines, triangles, squares, tetrahedra and cubes, in coordinates from 0 to 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations, product

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class QuadratureRule:
    """Points, and weights that add up to the measure of the reference cell."""

    points: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]

    def tensors(self) -> tuple[Float[Tensor, "Q d"], Float[Tensor, "Q"]]:
        """Return points and weights in double precision."""
        points = torch.tensor(self.points, dtype=torch.float64)
        return points, torch.tensor(self.weights, dtype=torch.float64)


# Abscissae and weights on [-1, 1], by number of points; exact to degree 2 n - 1.
_ROOT = math.sqrt(1.2)
_INNER, _OUTER = math.sqrt((3 - 2 * _ROOT) / 7), math.sqrt((3 + 2 * _ROOT) / 7)
_HEAVY, _LIGHT = (18 + math.sqrt(30)) / 36, (18 - math.sqrt(30)) / 36
_GAUSS = {
    2: ((-math.sqrt(1 / 3), 1.0), (math.sqrt(1 / 3), 1.0)),
    3: ((-math.sqrt(3 / 5), 5 / 9), (0.0, 8 / 9), (math.sqrt(3 / 5), 5 / 9)),
    4: ((-_OUTER, _LIGHT), (-_INNER, _HEAVY), (_INNER, _HEAVY), (_OUTER, _LIGHT)),
}


def gauss(dimension: int, count: int) -> QuadratureRule:
    """Return `count` Gauss points along every axis of a line, square or cube."""
    line = [((1 + point) / 2, weight / 2) for point, weight in _GAUSS[count]]
    grid = list(product(line, repeat=dimension))
    points = tuple(tuple(point for point, _ in node) for node in grid)
    return QuadratureRule(points, tuple(math.prod(weight for _, weight in node) for node in grid))


def _simplex(dimension: int, orbits: list[tuple[tuple[float, ...], float]]) -> QuadratureRule:
    """Return all different permutations of barycentric coordinates, each with its part of the measure."""
    points, weights = [], []
    for barycentric, part in orbits:
        for point in sorted(set(permutations(barycentric))):
            points.append(point[1:])
            weights.append(part / math.factorial(dimension))
    return QuadratureRule(tuple(points), tuple(weights))


def _cube_5() -> QuadratureRule:
    """Return a rule of 14 points, exact to degree 5.

    Irons 1971, "Quadrature rules for brick based finite elements".
    """
    face, corner = math.sqrt(19 / 30), math.sqrt(19 / 33)
    faces = [
        tuple(side if axis == k else 0.0 for k in range(3)) for axis in range(3) for side in (-face, face)
    ]
    corners = list(product((-corner, corner), repeat=3))
    points = tuple(tuple((1 + x) / 2 for x in point) for point in faces + corners)
    return QuadratureRule(points, (40 / 361,) * 6 + (121 / 2888,) * 8)


CUBE_5 = _cube_5()
_C, _D = 0.0927352503108912264, 0.3108859192633006098
_E = 0.0455037041256496495
_A = (5 - math.sqrt(5)) / 20

CENTRE = _simplex(3, [((0.25,) * 4, 1.0)])
TETRAHEDRON_2 = _simplex(3, [((_A, _A, _A, 1 - 3 * _A), 1 / 4)])
# Exact to degree 3, all weights positive: 8 points in the tables of Felippa 2004, "A compendium of
# FEM integration formulas for symbolic work".
_S17 = math.sqrt(17)
_R, _Q = math.sqrt(1022 - 134 * _S17), math.sqrt((1715161837 - 406006699 * _S17) / 23101) / 3120
_H, _K = (55 - 3 * _S17 + _R) / 196, (55 - 3 * _S17 - _R) / 196
TETRAHEDRON_3 = _simplex(3, [((_H, _H, _H, 1 - 3 * _H), 1 / 8 + _Q), ((_K, _K, _K, 1 - 3 * _K), 1 / 8 - _Q)])
# Exact to degree 5, all weights positive (Walkington 2000, "Quadrature on simplices of arbitrary dimension").
TETRAHEDRON_5 = _simplex(
    3,
    [
        ((_C, _C, _C, 1 - 3 * _C), 0.0734930431163619495),
        ((_D, _D, _D, 1 - 3 * _D), 0.1126879257180158508),
        ((_E, _E, 0.5 - _E, 0.5 - _E), 0.0425460207770814664),
    ],
)
TRIANGLE_2 = _simplex(2, [((1 / 6, 1 / 6, 2 / 3), 1 / 3)])
# Dunavant 1985, "High degree efficient symmetrical Gaussian quadrature rules for the triangle", degree 4.
_F, _G = 0.445948490915964886, 0.0915762135097707435
TRIANGLE_4 = _simplex(
    2, [((_F, _F, 1 - 2 * _F), 0.223381589678011466), ((_G, _G, 1 - 2 * _G), 0.109951743655321868)]
)

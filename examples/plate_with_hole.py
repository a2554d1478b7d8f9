"""Both elastic moduli of a plate with a hole from a field of displacements, as image correlation measures it.

    python examples/plate_with_hole.py                     # of a simulated plate, with noise
    python examples/plate_with_hole.py displacements.csv   # x, y, u_x, u_y [mm] of a measured one

The plate of Tröger, Hartmann, Anton, Wessels 2023 (Zenodo, doi 10.5281/zenodo.11257192): steel, 20.05 mm wide
and 3.05 mm thick, with a hole of 4 mm radius, pulled by 106.26 MPa. How the machine has moved the plate as a
whole is unknown, too. Of the simulated plate, of 175.2 GPa and .232, it prints within a minute

    forces.elastic.material.youngs_modulus = 175.27 ± 0.48 GPa
    forces.elastic.material.poissons_ratio = 0.239 ± 0.014
    G = 70.7 ± 0.8 GPa
    K = 111.8 ± 5.9 GPa
"""

import math
import sys

import numpy as np
import torch
from torch import Tensor

from simlayer import DistributedLoad, ElasticForce, Equilibrium, LinearElastic, Mesh, box_mesh
from simlayer.laboratory import DisplacementTest, IdentifiedTests, identify_tests

WIDTH, LENGTH, THICKNESS, RADIUS = 20.05e-3, 80e-3, 3.05e-3, 4e-3
TRACTION, NOISE = 106.26e6, 2e-6
CENTRE = (40e-3, 10.2e-3)  # of the hole, in the coordinates of the measurement


def plate(radial: int = 8, around: int = 48) -> Mesh:
    """A ring of hex20 cells from the hole at the origin to the outline; half of the thickness."""
    box = box_mesh(cells=(radial, around, 1), size=(1.0, 1.0, 1.0), element="hex20")
    outward, turn, height = box.vertices.unbind(-1)
    # A quarter of the cells ends on each side of the outline.
    side, along = (4 * turn).floor().clamp(max=3), 2 * (4 * turn - (4 * turn).floor().clamp(max=3)) - 1
    x, y = LENGTH / 2, WIDTH / 2
    outline = torch.stack([torch.ones_like(along) * x, along * y], -1)
    for k, (a, b) in enumerate(((-along * x, y), (-x, -along * y), (along * x, -y)), 1):
        edge = torch.stack([torch.as_tensor(a).expand_as(along), torch.as_tensor(b).expand_as(along)], -1)
        outline = torch.where((side == k)[:, None], edge, outline)
    turned = 2 * math.pi * (turn - 1 / 8)  # the first corner is at the lower right
    hole = RADIUS * torch.stack([turned.cos(), turned.sin()], -1)
    share = (outward**1.7)[:, None]  # cells grow with the distance from the hole
    place = torch.cat([(1 - share) * hole + share * outline, height[:, None] * THICKNESS / 2], -1)
    return welded(place, box.cells)


def welded(vertices: Tensor, cells: Tensor) -> Mesh:
    """A mesh in which vertices at the same place are one, with its ends and its middle plane by name."""
    _, inverse = torch.unique((vertices / 1e-9).round().long(), dim=0, return_inverse=True)
    first = torch.full((int(inverse.max()) + 1,), len(vertices)).scatter_reduce(
        0, inverse, torch.arange(len(vertices)), "amin"
    )
    x = vertices[first]
    at = {
        "left": x[:, 0] < -LENGTH / 2 + 1e-6,
        "right": x[:, 0] > LENGTH / 2 - 1e-6,
        "middle": x[:, 2] < 1e-6,
    }
    return Mesh(x, inverse[cells], vertex_sets={name: mask.nonzero().flatten() for name, mask in at.items()})


def pulled(mesh: Mesh, youngs_modulus: float, poissons_ratio: float) -> Equilibrium:
    """The plate under the traction of both grips, held against rigid motions only."""
    held = torch.zeros(len(mesh.vertices), 3, dtype=torch.bool)
    held[mesh.vertex_sets["middle"], 2] = True
    left, right = (
        (mesh.vertices - torch.tensor([x, 0.0, 0.0])).norm(dim=-1).argmin() for x in (-LENGTH / 2, LENGTH / 2)
    )
    held[left, :2] = held[right, 1] = True
    forces = {
        "elastic": ElasticForce(mesh, LinearElastic(youngs_modulus, poissons_ratio)),
        "left": DistributedLoad.of_traction(mesh, "left", traction=(-TRACTION, 0.0, 0.0)),
        "right": DistributedLoad.of_traction(mesh, "right", traction=(TRACTION, 0.0, 0.0)),
    }
    return Equilibrium(mesh, forces, fixed=held)


def measured(path: str) -> tuple[Tensor, Tensor]:
    """Points on the plate, relative to the hole, and their displacements [m], from a CSV file in mm."""
    rows = 1e-3 * torch.from_numpy(np.loadtxt(path, delimiter=",", skiprows=1))
    points = torch.cat([rows[:, :2] - torch.tensor(CENTRE), torch.full((len(rows), 1), THICKNESS / 2)], 1)
    inside = (points[:, 0].abs() < LENGTH / 2) & (points[:, 1].abs() < WIDTH / 2)
    inside &= points[:, :2].norm(dim=-1) > 1.02 * RADIUS
    return points[inside], torch.cat([rows[inside, 2:], torch.full((int(inside.sum()), 1), torch.nan)], 1)


def simulated(mesh: Mesh) -> tuple[Tensor, Tensor]:
    """Points and noisy displacements of a plate of 175.2 GPa and .232."""
    generator = torch.Generator().manual_seed(0)
    points = (torch.rand(2000, 3, generator=generator) - 0.5) * torch.tensor([LENGTH, WIDTH, 0.0])
    points = points[points.norm(dim=-1) > 1.02 * RADIUS] + torch.tensor([0.0, 0.0, THICKNESS / 2])
    with torch.no_grad():
        exact = DisplacementTest(pulled(mesh, 175.2e9, 0.232), points, torch.zeros_like(points)).simulated()
    seen = exact + NOISE * torch.randn(exact.shape, generator=generator)
    seen[:, 2] = torch.nan
    return points, seen


def moduli(found: IdentifiedTests) -> dict[str, tuple[float, float]]:
    """The shear and the bulk modulus with their standard errors [Pa], by linear propagation."""
    values = found.uncertainty.values.clone().requires_grad_()
    E, nu = values.unbind()
    covariance, table = found.uncertainty.covariance, {}
    for name, modulus in (("G", E / (2 * (1 + nu))), ("K", E / (3 * (1 - 2 * nu)))):
        (slope,) = torch.autograd.grad(modulus, values, retain_graph=True)
        table[name] = float(modulus.detach()), float((slope @ covariance @ slope).sqrt())
    return table


def main(path: str | None = None, *, radial: int = 8, around: int = 48) -> dict[str, tuple[float, float]]:
    torch.set_default_dtype(torch.float64)
    mesh = plate(radial, around)
    points, displacements = simulated(mesh) if path is None else measured(path)
    test = DisplacementTest(
        pulled(mesh, 210e9, 0.3), points, displacements, rigid_motion=True, noise=NOISE, name="plate"
    )
    found = identify_tests(test, ["youngs_modulus", "poissons_ratio"])
    print(found)
    table = moduli(found)
    for name, (value, error) in table.items():
        print(f"{name} = {1e-9 * value:.1f} ± {1e-9 * error:.1f} GPa")
    return table


if __name__ == "__main__":
    main(*sys.argv[1:2])

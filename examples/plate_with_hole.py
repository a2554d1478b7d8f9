"""Both elastic moduli of a plate with a hole from a field of displacements, as image correlation measures it.

    python examples/plate_with_hole.py                                # of a simulated plate, with noise
    python examples/plate_with_hole.py displacements.csv picture.png  # x, y, u_x, u_y [mm] of a measured one

The plate of Tröger, Hartmann, Anton, Wessels 2023 (Zenodo, doi 10.5281/zenodo.11257192): steel, 20.05 mm
wide and 3.05 mm thick, with a hole of 4 mm radius, pulled by 106.26 MPa. How the machine has moved the
plate as a whole is unknown, too, and in some fits the mean strain of the picture, to which a motion
towards the camera and a bending out of the plane add. Of the measured file it prints within a minute, in
GPa but for nu,

    all points                           E 220.5 ± 0.2, nu 0.307 ± 0.0035, G 84.4 ± 0.2, K 189.9 ± 3.4
    all points, of any mean strain       E 203.5 ± 1.5, nu 0.19 ± 0.025, G 85.5 ± 1.8, K 109.3 ± 9.1
    left of the hole                     E 207.8 ± 1.0, nu 0.284 ± 0.0069, G 80.9 ± 0.5, K 160.4 ± 5.3
    right of the hole                    E 231.8 ± 0.6, nu 0.289 ± 0.0036, G 89.9 ± 0.3, K 183.0 ± 3.2
    about the hole                       E 216.9 ± 0.6, nu 0.348 ± 0.0064, G 80.5 ± 0.4, K 237.3 ± 10.2
    about the hole, of any mean strain   E 191.5 ± 1.9, nu 0.289 ± 0.025, G 74.3 ± 1.6, K 150.9 ± 18.3

An identification by others from the same file has G = 71.1 and K = 109.1 GPa (arXiv 2405.18311). Its K is
that of all points without their mean strain. Its G is not in the field far from the hole: there G is half
of the stress over the difference of both strains, to which a motion towards the camera adds nothing, and
the measured difference, 0.58e-3 to the right and 0.64e-3 to the left of the hole, is not the 0.75e-3 that
71.1 GPa needs. Left and right differ by a tenth, many standard errors, as by a bending that changes along
the plate, which a single camera cannot tell from elasticity: it is the error to reckon with. Only the
field about the hole without its mean strain is within two standard errors of that G. The steel may yield
there, as the peak is near 400 MPa by linear elasticity.
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
HOLE_REGION = 12e-3  # to both sides of the hole
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
    """All moduli [Pa] and Poisson's ratio with their standard errors, by linear propagation."""
    values = found.uncertainty.values.clone().requires_grad_()
    E, nu = values.unbind()
    covariance, table = found.uncertainty.covariance, {}
    for name, modulus in {"E": E, "nu": nu, "G": E / (2 * (1 + nu)), "K": E / (3 * (1 - 2 * nu))}.items():
        (slope,) = torch.autograd.grad(modulus, values, retain_graph=True)
        table[name] = float(modulus.detach()), float((slope @ covariance @ slope).sqrt())
    return table


def picture(test: DisplacementTest, found: IdentifiedTests, path: str) -> None:
    """Draw both displacements as they are fitted, and what is left of them, in micrometres."""
    import matplotlib.pyplot as plt

    with torch.no_grad():
        fields = {"fitted": test.simulated(), "simulated minus measured": found.residuals[test.name]}
    x, y = 1e3 * test.places[:, 0], 1e3 * test.places[:, 1]
    figure, panels = plt.subplots(2, 2, figsize=(12, 5), sharex=True, sharey=True, layout="constrained")
    for column, (title, field) in enumerate(fields.items()):
        for row, name in enumerate("xy"):
            values = 1e6 * field[:, row]
            size = float(values.abs().quantile(0.995))  # of which some points are off by ten times the noise
            panel = panels[row, column]
            drawn = panel.scatter(x, y, c=values, s=4, cmap="RdBu_r", vmin=-size, vmax=size)
            figure.colorbar(drawn, ax=panel, label=f"$u_{name}$ [µm]")
            panel.set(title=f"{title}, {name}", aspect="equal", xlabel="x [mm]", ylabel="y [mm]")
    figure.savefig(path, dpi=150)
    plt.close(figure)
    print(f"wrote {path}")


def main(
    path: str | None = None, output: str = "plate_with_hole.png", *, radial: int = 8, around: int = 48
) -> dict[str, dict[str, tuple[float, float]]]:
    torch.set_default_dtype(torch.float64)
    mesh = plate(radial, around)
    points, displacements = simulated(mesh) if path is None else measured(path)
    x, tables = points[:, 0], {}
    everywhere, at_hole = torch.ones_like(x, dtype=torch.bool), x.abs() < HOLE_REGION
    for title, where, strain in (
        ("all points", everywhere, False),
        ("all points, of any mean strain", everywhere, True),
        ("left of the hole", x < -HOLE_REGION, False),
        ("right of the hole", x > HOLE_REGION, False),
        ("about the hole", at_hole, False),
        ("about the hole, of any mean strain", at_hole, True),
    ):
        step, data = pulled(mesh, 210e9, 0.3), (points[where], displacements[where])
        test = DisplacementTest(
            step, *data, rigid_motion=True, surface_strain=strain, noise=NOISE, name="plate"
        )
        found = identify_tests(test, ["youngs_modulus", "poissons_ratio"])
        tables[title] = table = moduli(found)
        left = 1e6 * float(found.residuals["plate"][:, :2].square().mean().sqrt())
        each = ", ".join(
            f"{name} {value:.3g} ± {error:.2g}"
            if name == "nu"
            else f"{name} {1e-9 * value:.1f} ± {1e-9 * error:.1f}"
            for name, (value, error) in table.items()
        )
        print(f"{title:36} {each} GPa; {left:.2f} µm left")
        if title == "all points":
            picture(test, found, output)
    return tables


if __name__ == "__main__":
    main(*sys.argv[1:3])

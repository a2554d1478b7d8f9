"""Young's modulus from a scan of a bent bar: points on its surface that nothing ties to the mesh.

    python examples/scan.py             # of a simulated scan
    python examples/scan.py bent.ply    # of a scan in millimetres of such a bar, in the frame of the mesh

A bar of 200 x 30 x 20 mm, held at one end, bends under its own weight. A scanner sees 2,000 points of its
surface with 0.1 mm of noise, and one in twenty is up to 20 mm beside it. Of the simulated scan, whose bar has
5 MPa and is meshed finer, it prints within half a minute

    forces.elastic.material.youngs_modulus = 4.9991 ± 0.0028 MPa
    rms of the residuals of scan: 0.0001266 m
"""

import sys

import torch
from torch import Tensor

from simlayer import ElasticForce, Equilibrium, NeoHookean, box_mesh
from simlayer.laboratory import IdentifiedTests, ScanTest, identify_tests, read_scan
from simlayer.state import State

TRUTH, FIRST_GUESS = 5e6, 2.5e6  # Pa
NOISE, OUTLIERS = 1e-4, 0.02  # m


def bar(youngs_modulus: float, cells: tuple[int, int, int]) -> Equilibrium:
    """The bar under its weight, of quadratic hexahedra."""
    mesh = box_mesh(cells=cells, size=(0.2, 0.03, 0.02), element="hex20")
    elastic = ElasticForce(mesh, NeoHookean(youngs_modulus, 0.4), quadrature="reduced")
    return Equilibrium(mesh, {"elastic": elastic}, fixed="x_min", gravity=(0.0, 0.0, -9.81))


def simulated_scan(count: int = 2000, seed: int = 0) -> Tensor:
    """Return points spread over the surface of the bar on a finer mesh [m]."""
    step, generator = bar(TRUTH, (12, 3, 2)), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        bent = step(State.at_rest(step.elements.mesh.vertices)).positions
    corners = bent[step.elements.mesh.boundary]
    areas = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=1)
    chosen = corners[areas.multinomial(count, replacement=True, generator=generator)]
    # Uniform in each triangle: a square, of which the half beyond the diagonal is folded back.
    a, b = torch.rand(2, count, generator=generator)
    a, b = torch.where(a + b > 1, 1 - a, a)[:, None], torch.where(a + b > 1, 1 - b, b)[:, None]
    points = chosen[:, 0] + a * (chosen[:, 1] - chosen[:, 0]) + b * (chosen[:, 2] - chosen[:, 0])
    points += NOISE * torch.randn(count, 3, generator=generator)
    beside = torch.rand(count, generator=generator) < 0.05
    return points + beside[:, None] * OUTLIERS * (2 * torch.rand(count, 3, generator=generator) - 1)


def main(path: str = "") -> IdentifiedTests:
    """Print the modulus of a scan, and return what was found."""
    points = read_scan(path, scale=1e-3) if path else simulated_scan()
    test = ScanTest(bar(FIRST_GUESS, (12, 2, 2)), points, outlier_distance=4 * NOISE, noise=NOISE)
    found = identify_tests(test, "youngs_modulus")
    print(found)
    return found


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    main(*sys.argv[1:])

"""Why the nominal modulus of a dumbbell is not that of its material: its wide ends stretch as well.

    python examples/dumbbell.py               # of a simulated test
    python examples/dumbbell.py tensile.csv   # of a measured one, a file of the database below

A testing machine measures how far its grips move, and a nominal strain is that over the gauge length. But a
part of the motion stretches what lies between the gauge length and the grips. The simulated specimen is a die
C of ASTM D412, held where its ends have their full width. Files as in the Soft Robotics Materials Database
(Marechal and others 2020, doi 10.1089/soro.2019.0115). Of the simulated test, whose material has 180 kPa, it
prints within a minute

    nominal, at a material point: E = 116 kPa
    meshed dumbbell:              E = 180 kPa

Of the measured Dragon Skin 10 in that database, by a law that hardly stiffens up to a nominal strain of 60 %,
it is 147 and 229 kPa.
"""

import math
import sys

import torch
from torch import Tensor

from simlayer import ElasticForce, Equilibrium, Mesh, Yeoh, box_mesh
from simlayer.laboratory import LoadTest, Pull, identify_tests
from simlayer.material_point import StressCurve, fit_curves, read_curve

GAUGE_LENGTH, SECTION = 33e-3, 6e-3 * 3e-3
# Arcs of 14 and 25 mm lead from the narrow to the wide part, whose half widths differ by 9.5 mm.
INNER, OUTER, RISE = 14e-3, 25e-3, 9.5e-3
TURN = math.acos(1 - RISE / (INNER + OUTER))
GRIP = GAUGE_LENGTH / 2 + (INNER + OUTER) * math.sin(TURN)  # from the middle


def half_width(x: Tensor) -> Tensor:
    """Half of the width at a distance from the middle [m]."""
    along, first = x - GAUGE_LENGTH / 2, INNER * math.sin(TURN)
    inner = INNER - (INNER**2 - along.clamp(0, first) ** 2).sqrt()
    left = (GRIP - x).clamp(0, OUTER * math.sin(TURN))
    outer = RISE - (OUTER - (OUTER**2 - left**2).sqrt())
    return 3e-3 + torch.where(along < first, inner, outer)


def dumbbell(cells: tuple[int, int, int] = (10, 2, 1)) -> Mesh:
    """An eighth of the specimen, from its middle to the grip."""
    box = box_mesh(cells=cells, size=(1.0, 1.0, 1.0), element="hex20")
    x, y, z = box.vertices.unbind(-1)
    place = torch.stack([GRIP * x, y * half_width(GRIP * x), 1.5e-3 * z], -1)
    return Mesh(place, box.cells, vertex_sets=box.vertex_sets)


def gripped(mesh: Mesh, material: Yeoh) -> Equilibrium:
    """The specimen between three planes of symmetry and the grip."""
    fixed = torch.zeros(len(mesh.vertices), 3, dtype=torch.bool)
    for axis, plane in enumerate(("x_min", "y_min", "z_min")):
        fixed[mesh.vertex_sets[plane], axis] = True
    fixed[mesh.vertex_sets["x_max"]] = True
    return Equilibrium(mesh, {"elastic": ElasticForce(mesh, material, quadrature="reduced")}, fixed=fixed)


def tested(step: Equilibrium, curve: StressCurve) -> LoadTest:
    """The test of a nominal curve; half of the specimen has half of the motion."""
    displacements = 0.5 * GAUGE_LENGTH * (curve.stretch - 1)
    return LoadTest(
        step, "x_max", Pull((1, 0, 0)), displacements, SECTION * curve.stress, copies=4, name="pull"
    )


def simulated(mesh: Mesh, rows: int) -> StressCurve:
    """The nominal curve of a material of 180 kPa, with noise of 1 %."""
    stretch = torch.linspace(1.0, 1.6, rows + 1)[1:]
    step = gripped(mesh, Yeoh(3e4, 10.0, 0.1, 3e6))
    with torch.no_grad():
        force = tested(step, StressCurve(stretch, torch.ones(rows))).simulated()
    noise = torch.randn(rows, generator=torch.Generator().manual_seed(0))
    return StressCurve(stretch, force / SECTION * (1 + 0.01 * noise))


def measured(path: str, rows: int) -> StressCurve:
    """Some rows of a measured curve, up to a nominal strain of 60 %."""
    curve = read_curve(path, stress=4, stress_unit="MPa", strain=3, strain_unit="1").between(1.0, 1.6)
    chosen = torch.linspace(0, len(curve) - 1, rows).round().long()
    return StressCurve(curve.stretch[chosen], curve.stress[chosen])


def main(path: str | None = None, *, rows: int = 8) -> tuple[float, float]:
    torch.set_default_dtype(torch.float64)
    mesh = dumbbell()
    curve = simulated(mesh, rows) if path is None else measured(path, rows)
    nominal = Yeoh(2e4, 10.0, 0.1, 3e6)
    fit_curves(nominal, curve, ["c10"], incompressible=True)
    print(f"nominal, at a material point: E = {6e-3 * float(nominal.c10):.0f} kPa")
    material = Yeoh(nominal.c10.detach(), 10.0, 0.1, 3e6)
    print(identify_tests(tested(gripped(mesh, material), curve), "c10"))
    print(f"meshed dumbbell:              E = {6e-3 * float(material.c10):.0f} kPa")
    return 6 * float(nominal.c10), 6 * float(material.c10)


if __name__ == "__main__":
    main(*sys.argv[1:2])

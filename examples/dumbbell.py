"""Why the nominal modulus of a silicone is not that of its material: slack, ends, and the range of strain.

    python examples/dumbbell.py               # of a simulated test
    python examples/dumbbell.py tensile.csv   # of measured ones, files of the database below

A testing machine measures how far its grips move, and a nominal strain is that over the gauge length. The
specimen may be slack at first, a part of the motion stretches what lies between the gauge length and the
grips, and a law that is fitted to large strains need not be that at small ones. The simulated specimen is a
die C of ASTM D412, held where its ends have their full width. Files are as in the Soft Robotics Materials
Database (Marechal and others 2020, doi 10.1089/soro.2019.0115); their times are not read, as one file counts
tenths of seconds on without a carry, 40.9 and then 40.10. Of Dragon Skin 10 Medium it prints within half a
minute

    dragon_skin_10_medium, slack of 0.72 mm: E [kPa]
      fit                                      nominal  times 1.64 for the ends
      to 100 %, slack ignored              131.1 ± 2.8     214.5 ± 4.6
      to 100 %                             141.9 ± 3.4     232.1 ± 5.6
      to 30 %                              142.5 ± 2.1     233.2 ± 3.4
      to 40 %, a law that may soften       151.6 ± 5.5     248.1 ± 9.0
      to 30 %, a law that may soften       166.1 ± 6.9    271.8 ± 11.3
      to 20 %, a law that may soften      196.5 ± 12.4    321.6 ± 20.2
      meshed dumbbell, to 30 %                             233.2 ± 4.0
      held 5 mm nearer to the middle                       223.9 ± 3.8

A beam of the same silicone has 268.3 ± 1.9 kPa at rest and 280.5 ± 5.8 kPa in a vibration
(docs/guides/silicone_beam.md). Of the factor of 2 between 131 and 268 kPa, the ends make 1.64, and slack
1.08. The rest, 1.15, is within what the range of strain makes: the beam is strained by some 4 % at rest and
twice that in its vibration, where the pull has five rows, in which softening and slack cannot be told
apart, so that its modulus at rest depends on the range by a third. Where the specimen is held makes 4 %,
and the rate no more than the 5 % between the beam at rest and in its vibration, unless the silicone
relaxes within the seconds of the pull. Another mixture or cure cannot be told from these tests.
"""

import math
import sys
import warnings

import torch
from torch import Tensor

from simlayer import ElasticForce, Equilibrium, Mesh, Yeoh, box_mesh
from simlayer.errors import ImplausibleWarning
from simlayer.identification.found_values import FoundValues
from simlayer.laboratory import IdentifiedTests, LoadTest, Pull, identify_tests
from simlayer.material_point import FittedLaw, StressCurve, fit_curves, read_curve

NAMES = ("c10", "c20", "c30")
BULK_MODULUS = 3e6
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


def dumbbell(grip: float = GRIP) -> Mesh:
    """An eighth of the specimen, from its middle to a grip."""
    box = box_mesh(cells=(10, 2, 1), size=(1.0, 1.0, 1.0), element="hex20")
    x, y, z = box.vertices.unbind(-1)
    place = torch.stack([grip * x, y * half_width(grip * x), 1.5e-3 * z], -1)
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


def simulated() -> StressCurve:
    """The nominal curve of a material of 180 kPa whose specimen had a slack of 2 %, with noise of 1 %."""
    stretch = torch.linspace(1.0, 2.0, 41)[1:]
    step = gripped(dumbbell(), Yeoh(3e4, 10.0, 0.1, BULK_MODULUS))
    with torch.no_grad():
        force = tested(step, StressCurve(stretch, torch.ones(len(stretch)))).simulated()
    noise = torch.randn(len(stretch), generator=torch.Generator().manual_seed(0))
    return StressCurve(stretch + 0.02, force / SECTION * (1 + 0.01 * noise), name="simulated")


def measured(path: str) -> StressCurve:
    """The nominal curve of a file, whose times need not be right."""
    return read_curve(path, stress=4, stress_unit="MPa", strain=3, strain_unit="1")


def nominal_fit(curve: StressCurve, unknowns: int, *, slack: bool = True) -> tuple[Yeoh, FittedLaw]:
    """A law of so many terms at a material point, with or without an unknown offset of the strains."""
    law = Yeoh(2e4, 100.0 if unknowns > 1 else 0.0, 0.0, BULK_MODULUS)
    part = StressCurve(curve.stretch, curve.stress, name="pull", fit_offset=slack)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImplausibleWarning)  # of planar and equibiaxial tension
        return law, fit_curves(law, part, NAMES[:unknowns], incompressible=True)


def meshed_fit(curve: StressCurve, law: Yeoh, grip: float, rows: int) -> IdentifiedTests:
    """A neo-Hookean law on the meshed specimen, to some rows of a curve without slack."""
    chosen = torch.linspace(0, len(curve) - 1, rows).round().long()
    part = StressCurve(curve.stretch[chosen], curve.stress[chosen])
    return identify_tests(tested(gripped(dumbbell(grip), law), part), "c10")


def report(curve: StressCurve, rows: int) -> dict[str, float]:
    """Print and return Young's moduli at rest [Pa], one cause after the other."""
    small, large = curve.between(1.0, 1.3), curve.between(1.0, 2.0)
    law, found = nominal_fit(small, 1)
    slack = found.values["pull.strain_offset"]
    table = {
        "to 100 %, slack ignored": modulus(nominal_fit(large, 2, slack=False)[1]),
        "to 100 %": modulus(nominal_fit(large, 2)[1]),
        "to 30 %": modulus(found),
    }
    for end in (1.4, 1.3, 1.2):
        part = nominal_fit(curve.between(1.0, end), 3)[1]
        table[f"to {100 * (end - 1):.0f} %, a law that may soften"] = modulus(part)
    small = StressCurve(small.stretch - slack, small.stress)
    meshed, near = (meshed_fit(small, law, grip, rows) for grip in (GRIP, GRIP - 5e-3))
    ends = modulus(meshed)[0] / table["to 30 %"][0]
    print(f"{curve.name}, slack of {1e3 * GAUGE_LENGTH * slack:.2f} mm: E [kPa]")
    print(f"  {'fit':32}{'nominal':>16}  times {ends:.2f} for the ends")
    for title, (E, error) in table.items():
        print(f"  {title:32}{format_kpa(E, error):>16}{format_kpa(ends * E, ends * error):>16}")
    print(f"  {'meshed dumbbell, to 30 %':32}{'':16}{format_kpa(*modulus(meshed)):>16}")
    print(f"  {'held 5 mm nearer to the middle':32}{'':16}{format_kpa(*modulus(near)):>16}")
    return {title: E for title, (E, _) in table.items()} | {"meshed": modulus(meshed)[0]}


def modulus(found: FoundValues) -> tuple[float, float]:
    """Young's modulus at rest of an incompressible law, and its standard error [Pa]."""
    (name,) = (name for name in found.values if name.endswith("c10"))
    return 6 * found.values[name], 6 * found.standard_errors[name]


def format_kpa(value: float, error: float) -> str:
    return f"{1e-3 * value:.1f} ± {1e-3 * error:.1f}"


def main(*paths: str, rows: int = 5) -> list[dict[str, float]]:
    torch.set_default_dtype(torch.float64)
    return [report(curve, rows) for curve in [measured(path) for path in paths] or [simulated()]]


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A law of rubber from three tests at once: at a material point, and on meshed specimens.

    python examples/treloar.py           # of simulated tests
    python examples/treloar.py FOLDER    # of measured ones, Treloar_1944_UT.txt, _PS.txt and _ET.txt in it

The files have a nominal stress [MPa] and a stretch in each row, of uniaxial, planar and equibiaxial tension
(Treloar 1944, Trans. Faraday Soc. 40, 59). Yeoh's law is fitted to all three by least squares. Specimens are
an eighth of a cube between planes of symmetry and lubricated grips: uniaxial tension pulls one side, planar
tension holds another, equibiaxial tension pulls two by the same amounts. Their deformation is homogeneous, so
that the fits differ by the change of volume alone, which the second fit at a material point has, too. Clamped
ends are another matter, see dumbbell.py. Of Treloar's rubber it prints within a minute

                                c10 [Pa]        c20 [Pa]        c30 [Pa]
    point, det F = 1           1.847e+05         -1464.6          40.215
    point, of that K          1.8481e+05         -1472.9          40.401
    meshed specimens          1.8481e+05         -1472.9          40.401
    standard error                 10154          360.09          3.7312
    rms of uniaxial: 138 kPa
    rms of planar: 26.9 kPa
    rms of equibiaxial: 185 kPa
"""

import sys
from pathlib import Path

import torch

from simlayer import ElasticForce, Equilibrium, Yeoh, box_mesh
from simlayer.laboratory import LoadTest, Pull, identify_tests
from simlayer.material_point import MaterialPoint, StressCurve, fit_curves, read_curve

SIDE = 1e-2
BULK_MODULUS = 1e10  # of some 2 GPa, rubber changes its volume by 1 % at the largest of these stretches
FILES = {"uniaxial": "UT", "planar": "PS", "equibiaxial": "ET"}
UNKNOWNS = ("c10", "c20", "c30")


def first_guess() -> Yeoh:
    return Yeoh(2e5, -1e3, 30.0, BULK_MODULUS)


def measured(folder: Path) -> list[StressCurve]:
    """The tests of a folder."""
    return [
        read_curve(
            folder / f"Treloar_1944_{file}.txt",
            stress=0,
            stress_unit="MPa",
            strain=1,
            strain_unit="1",
            strain_kind="stretch",
            test=path,
            name=path,
        )
        for path, file in FILES.items()
    ]


def simulated(rows: int) -> list[StressCurve]:
    """Tests of a law like that of Treloar's rubber, with noise of 1 % of the largest stress of each."""
    point = MaterialPoint(Yeoh(1.847e5, -1465.0, 40.2, BULK_MODULUS), incompressible=True)
    generator, curves = torch.Generator().manual_seed(0), []
    for path, largest in (("uniaxial", 7.0), ("planar", 5.0), ("equibiaxial", 4.5)):
        stretch = torch.linspace(1.0, largest, rows + 1)[1:]
        stress = point(stretch, path).stress.detach()
        noise = 0.01 * stress.max() * torch.randn(rows, generator=generator)
        curves.append(StressCurve(stretch, stress + noise, path))
    return curves


def meshed(curve: StressCurve, material: Yeoh, noise: float) -> LoadTest:
    """The test of a curve on a specimen, whose loads have the noise of its stresses."""
    mesh = box_mesh(cells=(1, 1, 1), size=(SIDE, SIDE, SIDE), element="hex20")
    fixed = torch.zeros(len(mesh.vertices), 3, dtype=torch.bool)
    for axis, plane in enumerate(("x_min", "y_min", "z_min")):
        fixed[mesh.vertex_sets[plane], axis] = True
    fixed[mesh.vertex_sets["x_max"], 0] = True
    fixed[mesh.vertex_sets["y_max"], 1] = curve.path.name != "uniaxial"
    return LoadTest(
        Equilibrium(mesh, {"elastic": ElasticForce(mesh, material)}, fixed=fixed),
        "x_max",
        Pull((1, 0, 0)),
        SIDE * (curve.stretch - 1),
        SIDE**2 * curve.stress,
        coupled={"y_max": Pull((0, 1, 0))} if curve.path.name == "equibiaxial" else None,
        noise=SIDE**2 * noise,
        name=curve.name,
    )


def main(folder: str | None = None, *, rows: int = 12) -> dict[str, list[float]]:
    torch.set_default_dtype(torch.float64)
    curves = simulated(rows) if folder is None else measured(Path(folder))
    material, other = first_guess(), first_guess()
    nominal = fit_curves(material, curves, UNKNOWNS, incompressible=True)
    volume = fit_curves(other, curves, UNKNOWNS)
    # From where the material point has ended: far from it, a trial may have c30 < 0, and no equilibrium.
    on_mesh = identify_tests([meshed(curve, material, nominal.rms) for curve in curves], UNKNOWNS)
    fits = {"point, det F = 1": nominal, "point, of that K": volume, "meshed specimens": on_mesh}
    table = {name: list(found.values.values()) for name, found in fits.items()}
    errors = list(on_mesh.standard_errors.values())
    print(f"{'':24}" + "".join(f"{name + ' [Pa]':>16}" for name in UNKNOWNS))
    for name, values in {**table, "standard error": errors}.items():
        print(f"{name:24}" + "".join(f"{value:16.5g}" for value in values))
    for name, residuals in on_mesh.residuals.items():
        print(f"rms of {name}: {1e-3 * float(residuals.square().mean().sqrt()) / SIDE**2:.3g} kPa")
    return table


if __name__ == "__main__":
    main(*sys.argv[1:2])

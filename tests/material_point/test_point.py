"""The stress of a material point along the deformations of tests."""

import pytest
import torch
from support.materials import MATERIALS, Exponential, fibrous, lame

from simlayer import ConvergenceError, MooneyRivlin, NeoHookean, StVenantKirchhoff
from simlayer.material_point import DeformationPath, MaterialPoint

pytestmark = pytest.mark.usefixtures("float64")

E, NU = 1e5, 0.3
PATHS = ("uniaxial", "equibiaxial", "planar", "simple_shear")
STRETCHES = torch.tensor([0.7, 1.0, 1.4, 3.0], dtype=torch.float64)
# Of Hooke's law for plane and uniaxial stress, by the strain of the path.
SLOPES = {
    "uniaxial": E,
    "equibiaxial": E / (1 - NU),
    "planar": E / (1 - NU**2),
    "simple_shear": lame(E, NU)[0],
}
# Of fibres that pull as soon as they are stretched, the stiffness jumps at rest.
SMOOTH_AT_REST = {name: build for name, build in MATERIALS.items() if name != "HolzapfelGasserOgden"}
SHEAR_MULTIPLES = {"uniaxial": 3, "equibiaxial": 6, "planar": 4, "simple_shear": 1}

# Nominal stress over the stretch of an incompressible Mooney-Rivlin material with c10 = a and c01 = b
# (Treloar 1975, The Physics of Rubber Elasticity, sections 5.1 and 10.2).
CLOSED = {
    "uniaxial": lambda s, a, b: 2 * (s - s**-2) * (a + b / s),
    "equibiaxial": lambda s, a, b: 2 * (s - s**-5) * (a + b * s**2),
    "planar": lambda s, a, b: 2 * (s - s**-3) * (a + b),
    "simple_shear": lambda s, a, b: 2 * (a + b) * s,
}


def slope(point, path):
    """Stress over strain, for a strain of which the square is lost in rounding."""
    rest = 0.0 if path == "simple_shear" else 1.0
    stretch = torch.tensor([rest], requires_grad=True)
    return torch.autograd.grad(point(stretch, path).stress.sum(), stretch)[0].item()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("material", SMOOTH_AT_REST.values(), ids=SMOOTH_AT_REST)
def test_every_material_obeys_hookes_law_at_small_strain(material, path):
    # 1e-6: the tolerance of materials with corrected coefficients.
    assert slope(MaterialPoint(material(E, NU)), path) == pytest.approx(SLOPES[path], rel=1e-6)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("material", SMOOTH_AT_REST.values(), ids=SMOOTH_AT_REST)
def test_every_incompressible_material_has_its_shear_modulus(material, path):
    found = slope(MaterialPoint(material(E, NU), incompressible=True), path)
    assert found == pytest.approx(SHEAR_MULTIPLES[path] * lame(E, NU)[0], rel=1e-6)


@pytest.mark.parametrize("path", PATHS)
def test_an_incompressible_mooney_rivlin_material_has_its_closed_form(path):
    point = MaterialPoint(MooneyRivlin(2e5, 3e4, 1e7), incompressible=True)
    torch.testing.assert_close(point(STRETCHES, path).stress, CLOSED[path](STRETCHES, 2e5, 3e4))


def test_uniaxial_tension_of_a_neo_hookean_material_has_its_closed_form():
    # P1 = mu (s - 1/s) + lam ln J / s, and across mu (w - 1/w) + lam ln J / w = 0.
    material = NeoHookean(E, NU)
    response = MaterialPoint(material)(STRETCHES)
    s, w = response.deformation_gradient[:, 0, 0], response.deformation_gradient[:, 1, 1]
    mu, lam = material.mu.detach(), material.lam.detach()
    torch.testing.assert_close(response.stress, mu * (s - 1 / s) + lam * (s * w * w).log() / s)
    # Zero up to the rounding of terms of the size of the moduli.
    torch.testing.assert_close(
        mu * (w - 1 / w) + lam * (s * w * w).log() / w, torch.zeros(4), atol=1e-9 * E, rtol=0
    )


@pytest.mark.parametrize("incompressible", [False, True])
@pytest.mark.parametrize("path", PATHS)
def test_free_components_have_no_stress_and_moments_balance_in_an_anisotropic_material(path, incompressible):
    response = MaterialPoint(fibrous(E, NU), incompressible=incompressible)(STRETCHES[:3], path)
    P, F, sigma = response.nominal_stress, response.deformation_gradient, response.cauchy_stress
    free = {
        "uniaxial": [(0, 1), (0, 2), (1, 1), (1, 2), (2, 2)],
        "simple_shear": [(2, 2)],
    }.get(path, [(0, 2), (1, 2), (2, 2)])
    for row, column in free:
        assert P[:, row, column].abs().max() < 1e-9 * E
    torch.testing.assert_close(sigma, sigma.mT, atol=1e-9 * E, rtol=0)
    if incompressible:
        torch.testing.assert_close(torch.linalg.det(F), torch.ones(3))
    if path == "uniaxial":
        assert F[0, 0, 1].abs() > 1e-5  # It shears, as its fibres are at an angle.


@pytest.mark.parametrize("path", PATHS)
def test_a_nearly_incompressible_material_approaches_the_incompressible_one(path):
    stress = [MaterialPoint(MooneyRivlin(2e5, 3e4, bulk))(STRETCHES, path).stress for bulk in (1e8, 1e9)]
    exact = MaterialPoint(MooneyRivlin(2e5, 3e4, 1.0), incompressible=True)(STRETCHES, path).stress
    near, nearer = ((found - exact).abs().max() for found in stress)
    # The difference is of first order in mu / K.
    assert nearer < 0.12 * near


@pytest.mark.parametrize("incompressible", [False, True])
@pytest.mark.parametrize("material", [NeoHookean(E, NU), fibrous(E, NU), Exponential(5e4, 1e5, 0.4)], ids=str)
def test_derivatives_are_those_of_finite_differences(material, incompressible):
    point = MaterialPoint(material.double(), incompressible=incompressible)
    names = [f"material.{quantity.stored_name}" for quantity in material.quantities().values()]
    values = [dict(point.named_parameters())[name].detach().requires_grad_() for name in names]

    def stress(stretch, *stored):
        given = dict(zip(names, stored, strict=True))
        return torch.func.functional_call(point, given, (stretch, "planar")).stress / E

    stretch = torch.tensor([0.8, 1.3], requires_grad=True)
    assert torch.autograd.gradcheck(stress, (stretch, *values), check_forward_ad=True)


def test_samples_of_a_batch_are_those_of_single_materials():
    batch = MaterialPoint(NeoHookean(torch.tensor([[1e5], [2e5]]), NU))(STRETCHES).stress
    single = [MaterialPoint(NeoHookean(E, NU))(STRETCHES).stress for E in (1e5, 2e5)]
    torch.testing.assert_close(batch, torch.stack(single))


def test_a_path_of_ones_own_has_its_free_components():
    def stretched_sheet(s):
        one = torch.ones_like(s)
        return (s, 0 * s, 0 * s, 0 * s, 1 + 0.5 * (s - 1), 0 * s, 0 * s, 0 * s, one)

    path = DeformationPath("unequal biaxial", stretched_sheet, free=((2, 2),))
    a, s, t = 2e5, STRETCHES, 1 + 0.5 * (STRETCHES - 1)
    found = MaterialPoint(MooneyRivlin(a, 1e-9, 1.0), incompressible=True)(s, path)
    torch.testing.assert_close(found.stress, 2 * a * (s - 1 / (s**3 * t**2)))
    torch.testing.assert_close(found.nominal_stress[:, 1, 1], 2 * a * (t - 1 / (t**3 * s**2)))


def test_a_path_without_free_components_has_the_stress_of_the_material():
    path = DeformationPath("dilation", lambda s: (s, 0 * s, 0 * s, 0 * s, s, 0 * s, 0 * s, 0 * s, s))
    material = NeoHookean(E, NU)
    mu, lam, s = material.mu.detach(), material.lam.detach(), STRETCHES[:2]
    found = MaterialPoint(material)(s, path).stress
    torch.testing.assert_close(found, mu * (s - 1 / s) + 3 * lam * s.log() / s)
    with pytest.raises(ValueError, match="'dilation' must have a free component"):
        MaterialPoint(material, incompressible=True)(s, path)


def test_a_law_that_collapses_is_named_with_its_stretch():
    # St. Venant-Kirchhoff has no stress-free height left in strong equibiaxial tension.
    with pytest.raises(
        ConvergenceError, match="StVenantKirchhoff has no finite stress at equibiaxial stretch 3"
    ):
        MaterialPoint(StVenantKirchhoff(E, 0.45))(torch.tensor([1.1, 3.0]), "equibiaxial")


def test_values_per_cell_and_wrong_paths_are_refused():
    with pytest.raises(ValueError, match=r"youngs_modulus must have one value at a material point.*\(2,\)"):
        MaterialPoint(NeoHookean(torch.tensor([1e5, 2e5]), NU))
    with pytest.raises(ValueError, match="did you mean 'uniaxial'"):
        MaterialPoint(NeoHookean(E, NU))(STRETCHES, "uniaxal")
    with pytest.raises(ValueError, match="without the measured one"):
        DeformationPath("mine", lambda s: (s,) * 9, free=((0, 0),))
    with pytest.raises(ValueError, match="must return nine components"):
        MaterialPoint(NeoHookean(E, NU))(STRETCHES, DeformationPath("mine", lambda s: (s, s)))

"""Materials: the contract of every one, exact solutions, and the edges of their domains."""

import math

import pytest
import torch
from support.materials import (
    FIBROUS,
    MATERIALS,
    WITHOUT_RANGE,
    array,
    deformations,
    exponential,
    lame,
    matrix,
    mooney_rivlin,
    rotations,
    traced,
)

from simlayer import Corotated, LinearElastic, MooneyRivlin, NeoHookean, StableNeoHookean, StVenantKirchhoff

pytestmark = pytest.mark.usefixtures("float64")

EPS = torch.finfo(torch.float64).eps
RATIOS = (-0.5, 0.0, 0.3, 0.45, 0.49)
EVERY = MATERIALS | {f"{name} without range": build for name, build in WITHOUT_RANGE.items()}
INVARIANT = {name: build for name, build in EVERY.items() if name != "LinearElastic"}
ISOTROPIC = {name: build for name, build in INVARIANT.items() if not name.startswith(FIBROUS)}
# Of fibres that pull as soon as they are stretched, the stiffness jumps at rest.
SMOOTH_AT_REST = {name: build for name, build in EVERY.items() if name != "HolzapfelGasserOgden"}
every_material = pytest.mark.parametrize("build", EVERY.values(), ids=EVERY)
every_invariant_material = pytest.mark.parametrize("build", INVARIANT.values(), ids=INVARIANT)


def energy(build, F, *coefficients):
    density, values = traced(build, *coefficients)
    return density.value(values, matrix(F))


def stress(build, F, *coefficients):
    density, values = traced(build, *coefficients)
    return array(density.gradient(values, matrix(F)))


def hessian_product(build, F, dF, *coefficients):
    density, values = traced(build, *coefficients)
    return array(density.hessian_product(values, matrix(F), matrix(dF)))


def largest(tensor):
    return tensor.abs().max().item()


# The contract of every material.


@every_material
def test_stress_is_the_derivative_of_the_energy_by_central_differences(build):
    F, dF = deformations(20), torch.randn(20, 3, 3)
    h = 1e-5
    slope = (energy(build, F + h * dF) - energy(build, F - h * dF)) / (2 * h)
    work = (stress(build, F) * dF).sum((-1, -2))
    # Rounding eps psi / h = 2e-11 psi, truncation h² psi''' / 6 = 2e-11 psi''', with psi''' below 1e3.
    assert torch.allclose(work, slope, rtol=0, atol=2e-8)


@every_material
def test_stress_and_tangent_are_those_that_autograd_finds_for_the_energy(build):
    F, dF = deformations(20).requires_grad_(), torch.randn(20, 3, 3)
    # Other coefficients than the density was traced with, which must not have left a trace.
    E, nu = 2.3, -0.2
    psi = build(E, nu).energy_density(matrix(F))
    (P,) = torch.autograd.grad(psi.sum(), F, create_graph=True)
    (dP,) = torch.autograd.grad((P * dF).sum(), F)
    # The same sums in another order: rounding, times the largest term.
    assert torch.allclose(energy(build, F, E, nu), psi, rtol=0, atol=1e-13 * largest(psi))
    assert torch.allclose(stress(build, F, E, nu), P, rtol=0, atol=1e-12 * largest(P))
    assert torch.allclose(hessian_product(build, F, dF, E, nu), dP, rtol=0, atol=1e-12 * largest(dP))


@every_material
@pytest.mark.parametrize("nu", RATIOS)
def test_the_rest_shape_has_no_energy_and_no_stress(build, nu):
    E = 1e5
    scale = sum(map(abs, lame(E, nu)))
    rest = torch.eye(3)
    # A few roundings of terms as large as the Lamé parameters.
    assert largest(energy(build, rest, E, nu)) <= 20 * EPS * scale
    assert largest(stress(build, rest, E, nu)) <= 20 * EPS * scale


@every_invariant_material
def test_the_energy_does_not_change_under_a_rotation_of_space(build):
    F = deformations(50)
    # Rounding of F² and J², of order one, times the powers that the materials raise them to.
    assert torch.allclose(energy(build, rotations(50) @ F), energy(build, F), rtol=1e-12, atol=1e-13)


@every_invariant_material
def test_the_stress_turns_with_a_rotation_of_space(build):
    F, R = deformations(50), rotations(50)
    P = stress(build, F)
    assert torch.allclose(stress(build, R @ F), R @ P, rtol=0, atol=1e-12 * largest(P))


@pytest.mark.parametrize("build", ISOTROPIC.values(), ids=ISOTROPIC)
def test_the_energy_does_not_change_under_a_rotation_of_the_rest_shape(build):
    F = deformations(50)
    assert torch.allclose(energy(build, F @ rotations(50)), energy(build, F), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("build", SMOOTH_AT_REST.values(), ids=SMOOTH_AT_REST)
@pytest.mark.parametrize("nu", RATIOS)
def test_the_stiffness_at_rest_is_that_of_linear_elasticity(build, nu):
    E = 1e5
    mu, lam = lame(E, nu)
    d = torch.eye(3)
    expected = lam * torch.einsum("ij,kl->ijkl", d, d)
    expected += mu * (torch.einsum("ik,jl->ijkl", d, d) + torch.einsum("il,jk->ijkl", d, d))
    directions = torch.eye(9).unflatten(-1, (3, 3))
    tangent = hessian_product(build, d.expand(9, 3, 3), directions, E, nu).unflatten(0, (3, 3))
    # nu = 0.49 magnifies the rounding of nu itself by 1 / (1 - 2 nu) = 50.
    assert torch.allclose(tangent, expected, rtol=0, atol=1e-10 * (2 * mu + abs(lam)))


@every_material
def test_the_derivatives_of_energy_and_stress_are_right_in_deformation_and_coefficients(build):
    density, values = traced(build)
    F = deformations().flatten().unbind()
    inputs = tuple(t.detach().clone().requires_grad_() for t in (*values, *F))
    n = len(values)

    def gradient(*tensors):
        return density.gradient(tensors[:n], tensors[n:])

    assert torch.autograd.gradcheck(lambda *t: density.value(t[:n], t[n:]), inputs)
    assert torch.autograd.gradcheck(gradient, inputs)
    assert torch.autograd.gradgradcheck(gradient, inputs)


@every_material
def test_forward_mode_gives_the_same_tangent_as_the_traced_product(build):
    density, values = traced(build)
    F, dF = deformations(5), torch.randn(5, 3, 3)
    _, dP = torch.func.jvp(lambda F: array(density.gradient(values, matrix(F))), (F,), (dF,))
    assert torch.allclose(dP, hessian_product(build, F, dF), rtol=0, atol=1e-12 * largest(dP))


@every_material
def test_forward_mode_gives_the_same_derivative_in_the_coefficients_as_reverse_mode(build):
    density, values = traced(build)
    F, weights = matrix(deformations(5)), torch.randn(5, 3, 3)
    values, changes = tuple(v.clone() for v in values), tuple(torch.randn_like(v) for v in values)

    def work(*values):
        return (array(density.gradient(values, F)) * weights).sum()

    _, forward = torch.func.jvp(work, values, changes)
    reverse = torch.func.grad(work, argnums=tuple(range(len(values))))(*values)
    reverse = sum((g * c).sum() for g, c in zip(reverse, changes, strict=True))
    assert torch.allclose(forward, reverse, rtol=1e-11, atol=1e-12)


@every_material
@pytest.mark.parametrize("shape", [(1, 3), (2, 1), (2, 3)])
def test_one_density_gives_the_same_numbers_for_a_point_a_field_and_a_batch(build, shape):
    E, nu = 1 + torch.rand(shape), 0.4 * torch.rand(shape)
    density, values = traced(build, E, nu)
    F, dF = deformations(3, 2), torch.randn(3, 2, 3, 3)
    field = array(density.gradient(values, matrix(F)))
    product = array(density.hessian_product(values, matrix(F), matrix(dF)))
    energies = density.value(values, matrix(F))
    # Vectorised and scalar powers and logarithms may differ in the last bit.
    close = {"rtol": 0, "atol": 1e-13 * largest(product)}
    for cell in range(3):
        for sample in range(2):
            weights, fields = values[: density.shared], values[density.shared :]
            here = [*weights, *(v.expand(3, 2)[cell, sample] if v.ndim else v for v in fields)]
            point = matrix(F[cell, sample])
            assert torch.allclose(density.value(here, point), energies[cell, sample], **close)
            assert torch.allclose(array(density.gradient(here, point)), field[cell, sample], **close)
            dP = array(density.hessian_product(here, point, matrix(dF[cell, sample])))
            assert torch.allclose(dP, product[cell, sample], **close)


@every_material
def test_a_material_with_one_value_for_all_gives_the_numbers_of_one_with_equal_values(build):
    F = deformations(4)
    P = stress(build, F, 2.0, 0.3)
    equal = stress(build, F, torch.full((4,), 2.0), torch.full((4,), 0.3))
    # One rounding of each value, and one of each vectorised power.
    assert torch.allclose(equal, P, rtol=0, atol=1e-13 * largest(P))


@pytest.mark.parametrize("build", [StableNeoHookean, mooney_rivlin, exponential])
def test_a_density_traced_in_single_precision_is_exact_after_its_conversion_to_double(build):
    torch.set_default_dtype(torch.float32)
    density, values = traced(build)
    torch.set_default_dtype(torch.float64)
    values = [v.double() for v in values]
    F = matrix(deformations(20))
    P = array(traced(build)[0].gradient(values, F))
    # Any constant that was rounded to single precision would show at 1e-8.
    assert torch.allclose(array(density.gradient(values, F)), P, rtol=0, atol=1e-13 * largest(P))


# Exact solutions.


def uniaxial_stress(build, stretch):
    """Cauchy stress along a bar that is free to contract: the lateral stretch by bisection."""
    density, values = traced(build, E_INCOMPRESSIBLE, INCOMPRESSIBLE)

    def P(lateral):
        F = matrix(torch.diag(torch.stack([stretch, lateral, lateral])))
        return density.gradient(values, F)

    low, high = stretch**-0.5 * 0.9, stretch**-0.5 * 1.1
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if P(middle)[4] < 0 else (low, middle)
    return P(middle)[0] / middle**2


INCOMPRESSIBLE = 0.5 - 1e-8
MU = 1.0
E_INCOMPRESSIBLE = 2 * MU * (1 + INCOMPRESSIBLE)

# Cauchy stress of each material's incompressible limit at a stretch s, from its energy by hand.
UNIAXIAL = {
    "NeoHookean": (NeoHookean, lambda s: MU * (s**2 - 1 / s)),
    "StableNeoHookean without logarithm": (
        MATERIALS["StableNeoHookean without logarithm"],
        lambda s: MU * (s**2 - 1 / s),
    ),
    "StableNeoHookean": (
        StableNeoHookean,
        lambda s: 4 / 3 * MU * (s**2 - 1 / s) * (1 - 1 / (s**2 + 2 / s + 1)),
    ),
    "MooneyRivlin": (mooney_rivlin, lambda s: (0.6 + 0.4 / s) * MU * (s**2 - 1 / s)),
    "corotated": (Corotated, lambda s: 2 * MU * (s * (s - 1) - s**-0.5 * (s**-0.5 - 1))),
}


@pytest.mark.parametrize("stretch", [0.5, 0.9, 1.5, 2.5])
@pytest.mark.parametrize(("build", "exact"), UNIAXIAL.values(), ids=UNIAXIAL)
def test_a_nearly_incompressible_bar_pulls_with_the_stress_of_the_incompressible_material(
    build, exact, stretch
):
    stress = uniaxial_stress(build, torch.tensor(stretch))
    # The volume gives by mu / K = 3e-8, the stress by some ten times that; K rounds to K eps = 1e-8.
    assert stress.item() == pytest.approx(exact(stretch), rel=1e-6)


SHEAR = {
    "NeoHookean": (NeoHookean, lambda g: MU * g),
    "StableNeoHookean without logarithm": (
        MATERIALS["StableNeoHookean without logarithm"],
        lambda g: MU * g,
    ),
    "StableNeoHookean": (StableNeoHookean, lambda g: 4 / 3 * MU * g * (1 - 1 / (g**2 + 4))),
    "MooneyRivlin": (mooney_rivlin, lambda g: MU * g),
    "linear": (LinearElastic, lambda g: MU * g),
}


@pytest.mark.parametrize("gamma", [0.1, 1.0, 3.0])
@pytest.mark.parametrize(("build", "exact"), SHEAR.values(), ids=SHEAR)
def test_simple_shear_needs_the_shear_stress_of_the_closed_form(build, exact, gamma):
    # In simple shear J = 1, and the first Piola-Kirchhoff and Cauchy shear stress xy of a material are equal.
    F = torch.eye(3)
    F[0, 1] = gamma
    P = stress(build, F, 2 * MU * 1.3, 0.3)
    assert P[0, 1].item() == pytest.approx(exact(gamma), rel=1e-13)


def test_corotated_stress_is_the_closed_form_where_stretches_are_repeated():
    mu, lam = lame(1.0, 0.3)
    for stretches in ([1.3, 1.3, 1.3], [0.8, 0.8, 1.4], [1.0, 1.0, 1.0]):
        U, V, s = rotations(10), rotations(10), torch.tensor(stretches)
        F, R = (U * s) @ V, U @ V
        J = s.prod()
        expected = 2 * mu * (F - R) + lam * (J - 1) * (U * (J / s)) @ V
        assert torch.allclose(stress(Corotated, F), expected, rtol=0, atol=1e-12)


def test_corotated_tangent_is_the_difference_of_stresses_where_stretches_are_repeated():
    F, dF, h = 1.2 * rotations(10), torch.randn(10, 3, 3), 1e-5
    difference = (stress(Corotated, F + h * dF) - stress(Corotated, F - h * dF)) / (2 * h)
    # Truncation h² = 1e-10 and rounding eps / h = 2e-11, each times a few.
    assert torch.allclose(hessian_product(Corotated, F, dF), difference, rtol=0, atol=1e-8)


def test_corotated_stress_of_an_inverted_cell_is_that_of_the_nearest_rotation():
    mu, lam = lame(1.0, 0.3)
    s = torch.tensor([1.3, 1.0, -0.6])
    U, V = rotations(10), rotations(10)
    F, R, J = (U * s) @ V, U @ V, s.prod()
    expected = 2 * mu * (F - R) + lam * (J - 1) * (U * (J / s)) @ V
    assert torch.allclose(stress(Corotated, F), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "stretches", [(1.0, 1.0, -1.0), (-1.0, -1.0, -1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0)]
)
def test_corotated_is_finite_where_the_rotation_is_not_unique(stretches):
    F, dF = torch.diag(torch.tensor(stretches)), torch.randn(3, 3)
    assert hessian_product(Corotated, F, dF).isfinite().all()
    assert stress(Corotated, F).isfinite().all()
    # At a reflection three roots meet, where Newton's method is linear, with 2/3 a step: (2/3)^14 = 3e-3.
    s = torch.tensor(stretches)
    mu, lam = lame(1.0, 0.3)
    trace = s.abs().sum() - (2 * s.abs().min() if s.prod() < 0 else 0)
    exact = mu * ((s**2).sum() - 2 * trace + 3) + lam / 2 * (s.prod() - 1) ** 2
    assert energy(Corotated, F).item() == pytest.approx(exact.item(), rel=0.02)


# The range of J, and degenerate deformations.

WITH_RANGE = ["NeoHookean", "MooneyRivlin"]
with_range = pytest.mark.parametrize("name", WITH_RANGE)


@with_range
@pytest.mark.parametrize("end", [0.1, 5.0])
def test_energy_stress_and_stiffness_are_continuous_at_the_ends_of_the_range(name, end):
    density, values = traced(MATERIALS[name])

    def at(t):
        F = matrix(torch.diag(torch.tensor([t, 1.0, 1.0])))
        direction = matrix(torch.diag(torch.tensor([1.0, 0.0, 0.0])))
        product = density.hessian_product(values, F, direction)
        return torch.stack([density.value(values, F), density.gradient(values, F)[0], product[0]])

    inside, outside = at(end * (1 - 1e-9)), at(end * (1 + 1e-9))
    # The third derivative at J = 0.1 is below 1e5, over a distance of 2e-10; a jump would be of order one.
    assert torch.allclose(inside, outside, rtol=1e-6, atol=1e-9)


@with_range
def test_inside_the_range_the_material_is_the_one_without_range(name):
    F = deformations(100)
    build, bare = MATERIALS[name], WITHOUT_RANGE[name]
    P = stress(build, F)
    assert torch.equal(energy(build, F), energy(bare, F))
    assert torch.allclose(P, stress(bare, F), rtol=0, atol=1e-14 * largest(P))


@with_range
def test_a_material_with_a_range_is_finite_at_any_deformation(name):
    F = torch.stack([torch.zeros(3, 3), torch.diag(torch.tensor([1.0, 0.0, 0.0])), -3 * torch.eye(3)])
    F = torch.cat(
        [F, torch.diag(torch.tensor([1.0, 1.0, 0.0]))[None], torch.randn(50, 3, 3), 10 * torch.eye(3)[None]]
    )
    assert energy(MATERIALS[name], F).isfinite().all()
    assert stress(MATERIALS[name], F).isfinite().all()
    assert hessian_product(MATERIALS[name], F, torch.randn_like(F)).isfinite().all()


@with_range
def test_a_material_without_range_is_infinite_at_a_flat_cell_and_undefined_at_an_inverted_one(name):
    flat, inverted = torch.diag(torch.tensor([1.0, 1.0, 0.0])), torch.diag(torch.tensor([1.0, 1.0, -0.5]))
    assert energy(WITHOUT_RANGE[name], flat).item() == math.inf
    assert energy(WITHOUT_RANGE[name], inverted).isnan()


@pytest.mark.parametrize("build", [StableNeoHookean, NeoHookean, Corotated, mooney_rivlin])
def test_flattening_and_inverting_a_cell_costs_ever_more_energy(build):
    t = torch.linspace(0.999, -3.0, 200)
    F = torch.diag_embed(torch.stack([t, torch.ones(200), torch.ones(200)], -1))
    assert (energy(build, F).diff() > 0).all()


@pytest.mark.parametrize("logarithm", [True, False])
def test_stable_neo_hookean_is_finite_at_singular_and_inverted_deformations(logarithm):
    density, values = traced(MATERIALS["StableNeoHookean" + ("" if logarithm else " without logarithm")])
    singular = torch.stack(
        [torch.zeros(3, 3), torch.ones(3, 3), torch.diag(torch.tensor([1.0, 2.0, 0.0])), -torch.eye(3)]
    )
    for F in (*singular, *torch.randn(10, 3, 3)):
        point = tuple(x.clone().requires_grad_() for x in F.flatten().unbind())
        # Against central differences, so not only finite but right.
        assert torch.autograd.gradcheck(lambda *x: density.value(values, x), point)
        assert torch.autograd.gradcheck(lambda *x: density.gradient(values, x), point)
        assert torch.autograd.gradgradcheck(lambda *x: density.gradient(values, x), point)


def test_only_the_logarithm_makes_a_cell_collapsed_to_a_point_open_again():
    F = torch.stack([torch.zeros(3, 3), 0.01 * torch.eye(3)])
    collapsed, opened = energy(StableNeoHookean, F)
    assert opened < collapsed
    collapsed, opened = energy(MATERIALS["StableNeoHookean without logarithm"], F)
    assert opened > collapsed


# What constructors refuse.


@pytest.mark.parametrize(
    ("E", "nu", "message"),
    [
        (0.0, 0.3, r"youngs_modulus must be positive, got 0\."),
        (-1e5, 0.3, r"youngs_modulus must be positive, got -100000\."),
        (math.nan, 0.3, r"youngs_modulus must be positive, got NaN\."),
        (1e5, 0.5, r"poissons_ratio must lie in \(-1, 0\.5\), got 0\.5\."),
        (1e5, -1.0, r"poissons_ratio must lie in \(-1, 0\.5\), got -1\."),
        (1e5, math.nan, r"poissons_ratio must lie in \(-1, 0\.5\), got NaN\."),
        (torch.tensor([1e5, -2.0, 1e5]), 0.3, r"youngs_modulus must be positive, got -2\."),
        (1e5, torch.tensor([0.3, 0.6]), r"poissons_ratio must lie in \(-1, 0\.5\), got 0\.6\."),
    ],
)
@pytest.mark.parametrize(
    "material", [StableNeoHookean, NeoHookean, StVenantKirchhoff, Corotated, LinearElastic]
)
def test_an_isotropic_material_refuses_coefficients_outside_their_range_by_name(material, E, nu, message):
    with pytest.raises(ValueError, match=message):
        material(E, nu)


def test_an_infinite_modulus_is_refused_as_not_finite():
    with pytest.raises(ValueError, match=r"youngs_modulus must be .*finite.*, got inf\."):
        StableNeoHookean(math.inf, 0.3)


@pytest.mark.parametrize("name", ["c10", "c01", "bulk_modulus"])
def test_mooney_rivlin_refuses_a_coefficient_that_is_not_positive_by_name(name):
    with pytest.raises(ValueError, match=rf"{name} must be positive, got 0\."):
        MooneyRivlin(**({"c10": 1.0, "c01": 1.0, "bulk_modulus": 10.0} | {name: 0.0}))


@pytest.mark.parametrize(
    "range", [(1.0, 5.0), (0.1, 1.0), (0.0, 5.0), (-0.1, 5.0), (5.0, 0.1), (math.nan, 5.0)]
)
@pytest.mark.parametrize("build", [NeoHookean, mooney_rivlin])
def test_a_range_that_does_not_enclose_the_rest_shape_is_refused(build, range):
    with pytest.raises(ValueError, match=r"range(\[0\])? must (enclose J = 1 between two|be a finite)"):
        build(1.0, 0.3, range=range)

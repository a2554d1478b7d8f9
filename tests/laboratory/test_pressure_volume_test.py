"""Inflation of cavities: exact solutions of hollow spheres, derivatives, and what is refused."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from support.meshes import hollow, hollow_sphere
from support.scenes import noise

from simlayer import (
    CavityPressure,
    ElasticForce,
    Equilibrium,
    LinearElastic,
    MeshError,
    NeoHookean,
    ObservationError,
)
from simlayer.laboratory import PressureVolumeTest, identify_tests
from simlayer.rollout.parameter_jacobian import parameter_jacobian

pytestmark = pytest.mark.usefixtures("float64")

A, B = 0.02, 0.03


def held(mesh):
    """Fix the rigid motions of a sphere alone: three points on axes may move away from the middle."""
    fixed = torch.zeros(len(mesh.vertices), 3, dtype=torch.bool)
    for axis in range(3):
        target = torch.zeros(3)
        target[axis] = B
        for sign in (1, -1):
            at = (mesh.vertices - sign * target).norm(dim=-1).argmin()
            fixed[at] |= torch.arange(3) != axis
    return fixed


def inflated(mesh, material, pressures, volumes=None, *, fixed=None, quadrature="full", **options):
    forces = {
        "elastic": ElasticForce(mesh, material, quadrature=quadrature),
        "chamber": CavityPressure(mesh, "cavity"),
    }
    step = Equilibrium(mesh, forces, fixed=held(mesh) if fixed is None else fixed)
    volumes = torch.ones(len(pressures)) if volumes is None else volumes
    return PressureVolumeTest(step, "chamber", pressures, volumes, **options)


def test_a_hollow_sphere_of_little_strain_swells_by_lame_s_solution():
    E, nu, p = 1e5, 0.3, 10.0
    # u(a) of the thick-walled sphere (Lamé; Timoshenko, Goodier, Theory of Elasticity, section 136).
    share = p * A**3 / (E * (B**3 - A**3))
    u = share * ((1 - 2 * nu) * A + (1 + nu) * B**3 / (2 * A**2))
    test = inflated(hollow_sphere("hex20", A, B), LinearElastic(E, nu), [p], quadrature="reduced")
    with torch.no_grad():
        found = float(test.simulated()[0])
    # The next order of the volume, (u/a)², is below 0.001 of it; the rest is the error of the mesh.
    assert found == pytest.approx(4 * math.pi * A**2 * u, rel=0.01)


def test_a_hollow_sphere_of_rubber_swells_as_the_exact_integral_says():
    mu = 1e5
    # The pressure is the integral of W'(l) / (l³ - 1) over hoop stretches l, from those at the outside to
    # those at the inside, with W = mu/2 (l^-4 + 2 l² - 3) (Ogden 1984, Non-linear Elastic Deformations,
    # section 5.3.2).
    pressures, volumes = [], []
    for stretch in (1.1, 1.2, 1.3):
        outer = (1 + (A / B) ** 3 * (stretch**3 - 1)) ** (1 / 3)
        slope = lambda s: 2 * mu * (s - s**-5) / (s**3 - 1)  # noqa: E731
        pressures.append(quad(slope, outer, stretch)[0])
        volumes.append(4 / 3 * math.pi * A**3 * (stretch**3 - 1))
    # Of a bulk modulus of a thousand shear moduli, which changes the volume by less than 0.1 %.
    law = NeoHookean(2 * mu * (1 + 0.4995), 0.4995)
    test = inflated(hollow_sphere("hex20", A, B, around=4), law, pressures, quadrature="reduced")
    with torch.no_grad():
        found = test.simulated()
    np.testing.assert_allclose(found, volumes, rtol=0.01)


def test_its_derivative_is_the_central_difference():
    mesh, p = hollow("hex8"), [300.0, 800.0, 200.0]
    material = NeoHookean(1e4, 0.3)
    test = inflated(mesh, material, p, fixed="x_min")
    stored = material.log_youngs_modulus
    value, jacobian = parameter_jacobian(test.simulated, {"E": stored})
    slopes, h = [], 1e-4
    with torch.no_grad():
        for sign in (1, -1):
            stored += sign * h
            slopes.append(test.simulated())
            stored -= sign * h
    torch.testing.assert_close(jacobian["E"].flatten(), (slopes[0] - slopes[1]) / (2 * h), rtol=1e-6, atol=0)
    assert value[2] < value[0] < value[1]
    stored.requires_grad_()
    (gradient,) = torch.autograd.grad(test.simulated().sum(), stored)
    torch.testing.assert_close(gradient, jacobian["E"].sum(0).reshape(()), rtol=1e-8, atol=0)


def test_the_modulus_is_found_from_noisy_volumes_with_a_gap():
    mesh, p = hollow("hex8"), torch.linspace(100, 800, 5)
    with torch.no_grad():
        seen = inflated(mesh, NeoHookean(1e4, 0.3), p, fixed="x_min").simulated()
    seen = seen * (1 + 0.01 * noise(5, seed=1))
    seen[2] = torch.nan
    test = inflated(mesh, NeoHookean(2e4, 0.3), p, seen, fixed="x_min")
    found = identify_tests(test, "youngs_modulus")
    (value,), (error,) = found.values.values(), found.standard_errors.values()
    assert abs(value - 1e4) < 3 * error < 0.05 * 1e4
    assert "m³" in str(found)


def test_what_does_not_fit_is_refused():
    mesh, law = hollow("hex8", 0.0), NeoHookean(1e4, 0.3)
    with pytest.raises(ObservationError, match="as many"):
        inflated(mesh, law, [1.0, 2.0], [1.0], fixed="x_min")
    with pytest.raises(ObservationError, match="pressures must be finite"):
        inflated(mesh, law, [math.nan], [1.0], fixed="x_min")
    step = inflated(mesh, law, [1.0], fixed="x_min").step
    with pytest.raises(KeyError, match=r"no force is named 'chambre'; did you mean 'chamber'"):
        PressureVolumeTest(step, "chambre", [1.0], [1.0])
    with pytest.raises(TypeError, match="CavityPressure"):
        PressureVolumeTest(step, "elastic", [1.0], [1.0])
    lower = mesh.vertex_sets["cavity"][mesh.vertices[mesh.vertex_sets["cavity"], 2] < 0.6]
    with pytest.raises(MeshError, match=r"must be closed, got 4 edges at its rim, from \[0.3333"):
        CavityPressure(mesh, lower)

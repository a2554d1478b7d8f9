"""Plasticity: cyclic tension against its exact solution, invariants, gradients, fits, refusals."""

import math

import pytest
import torch
from support.materials import matrix, rotations

from simlayer import (
    BackwardEuler,
    ElasticForce,
    ElastoplasticForce,
    Equilibrium,
    J2Plasticity,
    NeoHookean,
    Newmark,
    NewtonSolver,
    RolloutModule,
    State,
    SymplecticEuler,
    box_mesh,
    check_gradients,
    check_material,
    readouts,
)
from simlayer.errors import ImplausibleWarning
from simlayer.forces.internal_variables import as_fields
from simlayer.laboratory import LoadTest, Pull, identify_tests

pytestmark = pytest.mark.usefixtures("float64")

# Steel.
E, NU, YIELD, HARDENING = 2e11, 0.3, 2.5e8, 2e9


def steel(mesh):
    return ElastoplasticForce(mesh, J2Plasticity(E, NU, YIELD, HARDENING))


def tensile(force, dt=1.0):
    """A unit cube between planes that are free of friction, pulled along x."""
    mesh = force.elements.mesh
    x = mesh.vertices
    fixed = x < 1e-9
    fixed[:, 0] |= x[:, 0] > 1 - 1e-9
    return Equilibrium(mesh, {"elastic": force}, dt=dt, fixed=fixed)


def cube():
    return box_mesh(cells=(1, 1, 1), size=(1.0, 1.0, 1.0), element="hex8")


def test_cyclic_tension_follows_the_exact_solution_in_few_steps():
    mesh = cube()
    step, state = tensile(steel(mesh)), State.at_rest(mesh.vertices)
    end, plastic, hardened = mesh.vertices[:, 0] > 0.5, 0.0, 0.0
    for strain in (0.001, 0.002, 0.01, 0.1, 0.0985, 0.095, 0.0, -0.05, -0.0495, 0.02):
        positions = state.positions.clone()
        positions[end, 0] = math.exp(strain)
        state = step(state._replace(positions=positions))
        # Logarithmic strain and Kirchhoff stress: the return of one dimension.
        stress = E * (strain - plastic)
        beyond = max(abs(stress) - (YIELD + HARDENING * hardened), 0.0)
        flow = math.copysign(beyond / (E + HARDENING), stress)
        plastic, hardened, stress = plastic + flow, hardened + abs(flow), stress - E * flow
        found = readouts.piola_kirchhoff_stress(step, state)[0, :, 0, 0] * math.exp(strain)
        assert torch.allclose(found, torch.tensor(stress), rtol=1e-6, atol=1e-6 * YIELD)
        assert torch.allclose(
            as_fields(state.history[0], step.forces["elastic"].elements)[6], torch.tensor(hardened), rtol=1e-6
        )


def yielded(force, amount=0.2):
    """Internal variables after a random deformation, and the next one."""
    first, second = (force.elements.mesh.vertices + amount * torch.rand(8, 3) for _ in range(2))
    return force.updated(first, 1.0), first, second


def test_flow_keeps_the_volume_and_stays_on_the_yield_surface():
    force = steel(cube())
    force.internal_variables, first, _ = yielded(force)
    xx, yy, zz, yz, zx, xy, strain = as_fields(force.internal_variables, force.elements)[:7]
    inverse = matrix(torch.stack([xx + 1, xy, zx, xy, yy + 1, yz, zx, yz, zz + 1], -1).unflatten(-1, (3, 3)))
    assert torch.allclose(inverse.det(), torch.ones(()), rtol=1e-12)
    assert bool((strain > 0.01).all())
    step = Equilibrium(force.elements.mesh, {"elastic": force}, fixed=torch.ones(8, dtype=torch.bool))
    state = State(first, torch.zeros(8, 3), (force.internal_variables,))
    F = readouts.deformation_gradient(step, state)
    mises = readouts.von_mises_stress(step, state) * torch.linalg.det(F)
    assert torch.allclose(mises[0], YIELD + HARDENING * strain[:, 0], rtol=1e-9)


def test_what_has_flowed_does_not_flow_again_where_nothing_moves():
    force = steel(cube())
    force.internal_variables, first, _ = yielded(force)
    again = force.updated(first, 1.0)
    assert torch.allclose(again, force.internal_variables, rtol=0, atol=1e-12)


def test_forces_turn_with_the_body_and_its_past():
    force, (R,) = steel(cube()), rotations(1)
    variables, first, second = yielded(force)
    assert torch.allclose(force.updated(first @ R.T, 1.0), variables, rtol=0, atol=1e-12)
    force.internal_variables = variables
    forces = force(State.at_rest(second))
    turned = force(State.at_rest(second @ R.T))
    assert torch.allclose(turned, forces @ R.T, rtol=0, atol=1e-9 * float(forces.abs().max()))


def test_forces_are_minus_the_gradient_of_the_energy_of_a_step_and_hessians_theirs():
    force = steel(cube())
    force.internal_variables, _, second = yielded(force)
    direction, size = torch.randn(8, 3), 1e-6
    ends = [second + sign * size * direction for sign in (1, -1)]
    work = (force.energy(ends[0]) - force.energy(ends[1])) / (2 * size)
    assert torch.allclose(-(force(State.at_rest(second)) * direction).sum(), work, rtol=1e-6)
    change = [-force(State.at_rest(x)) for x in ends]
    product = force.hessian_product(second, direction)
    assert torch.allclose(
        product, (change[0] - change[1]) / (2 * size), rtol=1e-5, atol=1e-5 * float(product.abs().max())
    )


@pytest.mark.parametrize("kind", [SymplecticEuler, BackwardEuler, Newmark])
def test_gradients_through_a_body_that_yields_are_those_of_finite_differences(kind):
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))
    left = mesh.vertices[:, 0] < 1e-9
    force = ElastoplasticForce(mesh, J2Plasticity(1e5, 0.3, 500.0, 2e4))
    options = (
        {"dt": 1e-3} if kind is SymplecticEuler else {"dt": 1e-2, "newton": NewtonSolver(tolerance=1e-12)}
    )
    step = kind(mesh, {"elastic": force}, gravity=(0.0, 0.0, -9.81), fixed=left, **options)
    rollout, start = RolloutModule(step, 60 if kind is SymplecticEuler else 6), State.at_rest(mesh.vertices)
    assert float(rollout(start).history[-1].detach().abs().max()) > 0.01

    def loss(end):
        return (end.positions - start.positions).square().sum()

    names = ["yield_stress", "hardening_modulus", "youngs_modulus"]
    assert check_gradients(rollout, start, loss, names, tolerance=1e-5).passed


def test_yield_stress_and_hardening_are_found_from_a_load_curve():
    def pulled(E, limit, slope):
        mesh = box_mesh(cells=(2, 1, 1), size=(0.04, 0.01, 0.01), element="hex8")
        force = ElastoplasticForce(mesh, J2Plasticity(E, NU, limit, slope))
        x = mesh.vertices[:, 0]
        return Equilibrium(mesh, {"elastic": force}, fixed=(x < 1e-9) | (x > 0.04 - 1e-9))

    amounts = torch.cat([torch.linspace(2e-5, 4e-4, 12), torch.linspace(3.6e-4, 3e-4, 4)])
    truth = {"youngs_modulus": E, "yield_stress": YIELD, "hardening_modulus": 5e9}
    motion, noise = Pull((1.0, 0.0, 0.0)), 200.0
    with torch.no_grad():
        loads = LoadTest(pulled(*truth.values()), "x_max", motion, amounts, torch.zeros(16)).simulated()
    torch.manual_seed(2)
    test = LoadTest(
        pulled(1.5e11, 2e8, 1e10), "x_max", motion, amounts, loads + noise * torch.randn(16), noise=noise
    )
    found = identify_tests(test, list(truth))
    for name, value in truth.items():
        full = next(each for each in found.values if each.endswith(name))
        assert abs(found.values[full] - value) < 2.5 * found.standard_errors[full]
    assert found.standard_errors[next(n for n in found.values if n.endswith("yield_stress"))] < 0.03 * YIELD


def test_its_elasticity_is_what_a_material_must_be():
    assert check_material(J2Plasticity(E, NU, YIELD, HARDENING)).passed


@pytest.mark.unchecked
def test_a_material_that_does_not_yield_is_refused():
    with pytest.raises(TypeError, match=r"material must be of class J2Plasticity, .*got a NeoHookean"):
        ElastoplasticForce(box_mesh(cells=(1, 1, 1)), NeoHookean(1e5, 0.3))


def test_a_metal_that_cannot_yield_is_warned_of():
    mesh = box_mesh(cells=(1, 1, 1), size=(1.0, 1.0, 1.0))
    metal = J2Plasticity(E, NU, YIELD, HARDENING)
    with pytest.warns(ImplausibleWarning, match=r"J2Plasticity is elastic in an ElasticForce.* take Elasto"):
        ElasticForce(mesh, metal)
    ElastoplasticForce(mesh, metal)

import pytest
import torch
from support.scenes import Tether, noise

from simlayer import (
    ElasticForce,
    Equilibrium,
    KelvinVoigt,
    LinearElastic,
    Muscle,
    RolloutModule,
    StableNeoHookean,
    State,
    StVenantKirchhoff,
    SymplecticEuler,
    box_mesh,
    readouts,
)

pytestmark = pytest.mark.usefixtures("float64")

STRETCHED = torch.tensor([1.2, 0.9, 0.8], dtype=torch.float64)


def body(element="hex8"):
    return box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1), element=element)


def step_of(mesh, **forces):
    return SymplecticEuler(mesh, forces, dt=1e-6)


@pytest.mark.parametrize("element", ["tet4", "tet10", "hex8", "hex20"])
def test_stress_and_strains_of_a_uniform_stretch_are_those_of_the_formulas(element):
    mesh = body(element)
    step = step_of(mesh, elastic=ElasticForce(mesh, StVenantKirchhoff(1e5, 0.3)))
    state = State.at_rest(mesh.vertices * STRETCHED)
    green = (STRETCHED**2 - 1) / 2
    mu, lam = 1e5 / 2.6, 1e5 * 0.3 / (1.3 * 0.4)
    second = 2 * mu * green + lam * green.sum()
    sigma = STRETCHED**2 * second / STRETCHED.prod()

    def uniform(found, expected):
        torch.testing.assert_close(found, expected.expand_as(found), rtol=1e-11, atol=1e-8)

    uniform(readouts.deformation_gradient(step, state), STRETCHED.diag())
    uniform(readouts.green_strain(step, state), green.diag())
    uniform(readouts.logarithmic_strain(step, state), STRETCHED.log().diag())
    uniform(readouts.principal_stretches(step, state), STRETCHED.sort().values)
    uniform(readouts.piola_kirchhoff_stress(step, state), (STRETCHED * second).diag())
    uniform(readouts.cauchy_stress(step, state), sigma.diag())
    a, b, c = sigma
    mises = (((a - b) ** 2 + (b - c) ** 2 + (c - a) ** 2) / 2).sqrt()
    uniform(readouts.von_mises_stress(step, state), mises)


def test_stresses_of_several_forces_add_up_and_can_be_read_one_by_one():
    mesh = body()
    muscle = Muscle(mesh, (1.0, 0.0, 0.0), peak_stress=1e5, activation=0.5, cells=torch.tensor([1]))
    step = step_of(
        mesh,
        elastic=ElasticForce(mesh, StableNeoHookean(1e5, 0.3)),
        viscous=KelvinVoigt(mesh, shear_viscosity=50.0),
        muscle=muscle,
        tether=Tether(mesh.vertices, 10.0),
    )
    x = mesh.vertices
    state = State(x + 2e-3 * noise(*x.shape), 0.1 * noise(*x.shape, seed=3))
    parts = [
        readouts.piola_kirchhoff_stress(step, state, forces=name) for name in ("elastic", "viscous", "muscle")
    ]
    torch.testing.assert_close(readouts.piola_kirchhoff_stress(step, state), sum(parts))
    assert not bool(parts[2][0].any())  # the muscle has one of the cells
    assert bool(parts[2][1].any())
    # A stress is what the nodal forces follow from.
    power = readouts.powers(step, state)
    rate = torch.func.jvp(
        lambda y: readouts.deformation_gradient(step, State.at_rest(y)), (x,), (state.velocities,)
    )[1]
    weights = step.elements.weights.movedim(0, -1)
    for name, stress in zip(("elastic", "viscous", "muscle"), parts, strict=True):
        inside = -((stress * rate).sum((-1, -2)) * weights).sum()
        torch.testing.assert_close(inside, power[name], rtol=1e-10, atol=1e-12)


def test_forces_with_different_quadrature_are_read_one_by_one():
    mesh = box_mesh(cells=(2, 2, 2), size=(0.2, 0.1, 0.1), element="hex20")
    step = step_of(
        mesh,
        elastic=ElasticForce(mesh, StableNeoHookean(1e5, 0.3), quadrature="reduced"),
        viscous=KelvinVoigt(mesh, shear_viscosity=50.0),
    )
    state = State.at_rest(mesh.vertices)
    with pytest.raises(ValueError, match="different points"):
        readouts.cauchy_stress(step, state)
    assert readouts.cauchy_stress(step, state, forces="elastic").shape == (8, 8, 3, 3)
    assert readouts.cauchy_stress(step, state, forces=["viscous"]).shape == (8, 14, 3, 3)


def test_a_force_without_a_stress_is_named():
    mesh = body()
    step = step_of(mesh, tether=Tether(mesh.vertices, 10.0))
    state = State.at_rest(mesh.vertices)
    with pytest.raises(ValueError, match="no force of the step has a stress"):
        readouts.cauchy_stress(step, state)
    with pytest.raises(ValueError, match="'tether' is Tether"):
        readouts.cauchy_stress(step, state, forces="tether")
    with pytest.raises(ValueError, match="did you mean 'tether'"):
        readouts.cauchy_stress(step, state, forces="tethr")


def test_the_von_mises_stress_of_no_stress_has_a_finite_derivative():
    stress = torch.zeros(3, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(readouts.von_mises(stress), stress)
    assert not bool(gradient.any())


def test_the_gradient_of_a_stress_goes_through_an_equilibrium():
    mesh = body()
    step = Equilibrium(
        mesh, {"elastic": ElasticForce(mesh, LinearElastic(1e5, 0.3))}, gravity=(0, 0, -9.8), fixed="x_min"
    )
    rollout = RolloutModule(step, 1)

    def largest(nu):
        names = {"poissons_ratio": nu}
        state = rollout(State.at_rest(mesh.vertices), names)
        return readouts.von_mises_stress(rollout, state, names).mean()

    nu = torch.tensor(0.3, requires_grad=True)
    (gradient,) = torch.autograd.grad(largest(nu), nu)
    with torch.no_grad():
        expected = (largest(nu + 1e-5) - largest(nu - 1e-5)) / 2e-5
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=0)

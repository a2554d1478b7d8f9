"""The state of rest under loads."""

import pytest
import torch

from simlayer import (
    BackwardEuler,
    DistributedLoad,
    ElasticForce,
    Equilibrium,
    KelvinVoigt,
    LinearElastic,
    MassDamping,
    NodalLoad,
    RolloutModule,
    StableNeoHookean,
    State,
    StVenantKirchhoff,
    box_mesh,
    check_gradients,
)

pytestmark = pytest.mark.usefixtures("float64_throughout")

E = "forces.elastic.material.log_youngs_modulus"
NU = "forces.elastic.material.logit_poissons_ratio"


@pytest.fixture(scope="module")
def mesh(float64_throughout):
    return box_mesh(cells=(3, 1, 1), size=(0.09, 0.03, 0.03))


def sagged(mesh, kind=Equilibrium, **options):
    elastic = ElasticForce(mesh, StableNeoHookean(torch.full((len(mesh.cells),), 2e4), 0.4))
    load = NodalLoad(mesh, torch.zeros_like(mesh.vertices))
    forces = {"elastic": elastic, "load": load}
    return kind(mesh, forces, density=1000.0, gravity=(0.0, 0.0, -9.81), fixed="x_min", **options)


def test_a_linear_bar_hangs_as_it_should():
    length, density, modulus, g = 0.2, 1000.0, 1e5, 9.81
    mesh = box_mesh(cells=(10, 1, 1), size=(length, 0.02, 0.02), element="hex20")
    elastic = ElasticForce(mesh, LinearElastic(modulus, 0.0))
    step = Equilibrium(mesh, {"elastic": elastic}, density=density, gravity=(g, 0.0, 0.0), fixed="x_min")
    end = step(State.at_rest(mesh.vertices))
    x = mesh.vertices[:, 0]
    # u = rho g (L x - x²/2) / E: a parabola, exact on quadratic elements with consistent weights.
    expected = density * g * (length * x - x**2 / 2) / modulus
    torch.testing.assert_close(end.positions[:, 0] - x, expected, rtol=0, atol=1e-9 * float(expected.max()))
    assert not end.velocities.any()


@pytest.mark.parametrize(
    ("load", "tip", "shortening"),
    [(1.0, 0.30172, 0.05643), (3.0, 0.60325, 0.25442), (10.0, 0.81061, 0.55500)],
)
def test_a_slender_cantilever_bends_as_the_elastica(load, tip, shortening):
    # Bisshopp, Drucker 1945: P L²/(E I) and the displacement of the tip over the length.
    length, width, modulus = 1.0, 0.02, 1e9
    mesh = box_mesh(cells=(24, 1, 1), size=(length, width, width), element="hex20")
    force = load * modulus * width**4 / 12 / length**2
    forces = {
        "elastic": ElasticForce(mesh, StVenantKirchhoff(modulus, 0.0)),
        "load": DistributedLoad(mesh, "x_max", force=(0.0, 0.0, -force)),
    }
    step = Equilibrium(mesh, forces, fixed="x_min")
    moved = (step(State.at_rest(mesh.vertices)).positions - mesh.vertices)[mesh.vertex_sets["x_max"]].mean(0)
    # Shear and the clamped section, of the order of the square of width over length, and the mesh.
    assert -moved[2].item() == pytest.approx(tip * length, rel=5e-4)
    assert -moved[0].item() == pytest.approx(shortening * length, rel=5e-4)


def test_gradients_of_an_equilibrium_are_central_differences(mesh):
    rollout = RolloutModule(sagged(mesh), 1)
    weights = torch.randn_like(mesh.vertices)
    names = [E, NU, "log_density", "gravity", "vertex_gravity", "forces.load.forces", "positions"]
    report = check_gradients(
        rollout,
        State.at_rest(mesh.vertices),
        lambda s: (s.positions * weights).sum(),
        names,
        steps=(1e-3, 1e-4, 1e-5),
    )
    assert report.passed, f"\n{report}"


@pytest.mark.parametrize("element", ["tet10", "hex8", "hex20"])
def test_gradients_of_an_equilibrium_are_right_on_every_element(element):
    mesh = box_mesh(cells=(2, 1, 1), size=(0.06, 0.03, 0.03), element=element)
    weights = torch.randn_like(mesh.vertices)
    report = check_gradients(
        RolloutModule(sagged(mesh), 1),
        State.at_rest(mesh.vertices),
        lambda s: (s.positions * weights).sum(),
        [E, NU, "gravity"],
        steps=(1e-3, 1e-4, 1e-5),
    )
    assert report.passed, f"\n{report}"


def test_only_fixed_vertices_of_the_given_state_have_a_gradient(mesh):
    positions = mesh.vertices.clone().requires_grad_()
    sagged(mesh)(State.at_rest(positions)).positions[:, 2].sum().backward()
    held = torch.zeros(len(mesh.vertices), dtype=torch.bool)
    held[mesh.vertex_sets["x_min"]] = True
    assert not positions.grad[~held].any()
    # Lifting the clamp lifts the body.
    assert positions.grad[held, 2].sum().item() == pytest.approx(len(mesh.vertices), rel=1e-9)


def test_an_equilibrium_is_where_a_damped_rollout_comes_to_rest_gradient_included(mesh):
    def sag(step, count):
        rollout = RolloutModule(step, count)
        (parameter,) = rollout.train_only(E)
        z = rollout(State.at_rest(mesh.vertices)).positions[:, 2].sum()
        z.backward()
        return z.item(), parameter.grad

    static, gradient = sag(sagged(mesh), 1)
    # Backward Euler damps by itself: fifty steps of a second are the static limit.
    moving, other = sag(sagged(mesh, BackwardEuler, dt=1.0), 50)
    assert moving == pytest.approx(static, rel=1e-9)
    torch.testing.assert_close(other, gradient, rtol=1e-6, atol=1e-9 * float(gradient.abs().max()))


def test_a_batch_is_its_samples_one_by_one(mesh):
    rollout = RolloutModule(sagged(mesh), 1)
    moduli = torch.tensor([[1e4], [8e4]]).log()
    together = rollout(State.at_rest(mesh.vertices), {E: moduli}).positions
    for sample, modulus in enumerate(moduli):
        alone = rollout(State.at_rest(mesh.vertices), {E: modulus}).positions
        torch.testing.assert_close(together[sample], alone, rtol=0, atol=1e-10)


def test_a_rollout_follows_loads_that_are_controls(mesh):
    rollout = RolloutModule(sagged(mesh), 3)
    gravity = torch.tensor([[0.0, 0.0, -2.0], [0.0, 0.0, -9.81], [0.0, 0.0, 0.0]])
    path = rollout.trajectory(State.at_rest(mesh.vertices), controls={"gravity": gravity}).positions
    direct = RolloutModule(sagged(mesh), 1)(State.at_rest(mesh.vertices)).positions
    torch.testing.assert_close(path[2], direct, rtol=0, atol=1e-9)
    # Without weight it is back at rest.
    torch.testing.assert_close(path[3], mesh.vertices, rtol=0, atol=1e-9)


def test_velocities_have_no_place_in_an_equilibrium(mesh):
    with pytest.raises(ValueError, match="leave out dissipation air"):
        sagged(mesh, dissipation={"air": MassDamping(1.0)})
    elastic = ElasticForce(mesh, LinearElastic(1e5, 0.3))
    with pytest.raises(ValueError, match="leave out forces viscosity"):
        Equilibrium(mesh, {"elastic": elastic, "viscosity": KelvinVoigt(mesh, shear_viscosity=1.0)})

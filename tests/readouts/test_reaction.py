import pytest
import torch

from simlayer import (
    DistributedLoad,
    ElasticForce,
    Equilibrium,
    Newmark,
    NodalLoad,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
    motion_controls,
    readouts,
)

pytestmark = pytest.mark.usefixtures("float64")


def body(element="hex20"):
    return box_mesh(cells=(3, 1, 1), size=(0.3, 0.1, 0.1), element=element)


def test_what_holds_a_body_at_rest_balances_its_loads_and_their_torques():
    mesh = body()
    load = DistributedLoad(mesh, "x_max", force=(3.0, -1.0, 2.0))
    forces = {"elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.3)), "load": load}
    step = Equilibrium(mesh, forces, gravity=(0, 0, -9.8), fixed="x_min", density=1000.0)
    with torch.no_grad():
        state = step(State.at_rest(mesh.vertices))
        about = torch.tensor([0.1, 0.2, -0.3])
        held = readouts.reaction(step, state, "x_min", about=about)
        centre = readouts.centre_of_mass(step, state)
    weight = torch.tensor([0.0, 0.0, -9.8 * 3.0])
    torch.testing.assert_close(held.force, -load.force - weight, rtol=1e-9, atol=1e-9)
    arms = state.positions - about
    torques = torch.linalg.cross(arms, load.nodal_forces).sum(0) + torch.linalg.cross(centre - about, weight)
    torch.testing.assert_close(held.torque, -torques, rtol=1e-9, atol=1e-8)


def test_the_reaction_of_a_pulled_end_is_that_of_the_other_end_and_has_the_sign_of_the_pull():
    mesh = body("hex8")
    ends = torch.cat([mesh.vertex_sets["x_min"], mesh.vertex_sets["x_max"]])
    step = Equilibrium(mesh, {"elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.3))}, fixed=ends)
    pulled = mesh.vertices.clone()
    pulled[mesh.vertex_sets["x_max"], 0] += 0.03
    with torch.no_grad():
        state = step(State.at_rest(pulled))
        near, far = (readouts.reaction(step, state, name).force for name in ("x_min", "x_max"))
    assert float(far[0]) > 0
    # To the tolerance of Newton's method; the sides, which are free, have what is left.
    torch.testing.assert_close(near, -far, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("mass_matrix", ["lumped", "consistent"])
def test_the_reaction_of_a_moving_body_is_what_changes_its_momentum_beside_the_loads(mass_matrix):
    mesh = body("tet4")
    forces = {
        "elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.3)),
        "load": NodalLoad(mesh, torch.full((1, 3), 0.01)),
    }
    step = Newmark(mesh, forces, dt=1e-4, fixed="x_min", gravity=(0, 0, -9.8), mass_matrix=mass_matrix)
    frames = RolloutModule(step, 40).trajectory(State.at_rest(mesh.vertices))
    momenta = readouts.momentum(step, frames)
    load = 0.01 * len(mesh.vertices) + torch.tensor([0.0, 0.0, -9.8 * 3.0])
    rates = (momenta[2:] - momenta[:-2]) / 2e-4
    held = readouts.reaction(step, frames, "x_min").force[1:-1]
    # Central differences of a motion whose shortest period is some 60 steps.
    scale = float(held.abs().max())
    assert float((rates - load - held).abs().max()) < 0.02 * scale


def test_only_fixed_vertices_have_a_reaction():
    mesh = body("tet4")
    step = SymplecticEuler(
        mesh, {"elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.3))}, dt=1e-5, fixed="x_min"
    )
    state = State.at_rest(1.1 * mesh.vertices)
    nodal = readouts.nodal_reactions(step, state)
    assert not bool(nodal[step.free[:, 0] == 1].any())
    with pytest.raises(ValueError, match="none of the 4 is fixed"):
        readouts.reaction(step, state, "x_max")
    with pytest.raises(ValueError, match="about"):
        readouts.reaction(step, state, "x_min", about=torch.zeros(2))


def test_the_gradient_of_a_force_over_displacement_curve_is_exact():
    mesh = body("hex8")
    ends = torch.cat([mesh.vertex_sets["x_min"], mesh.vertex_sets["x_max"]])
    step = Equilibrium(mesh, {"elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.3))}, fixed=ends)
    rollout = RolloutModule(step, 3)
    path = mesh.vertices.repeat(4, 1, 1)
    path[:, mesh.vertex_sets["x_max"], 0] += torch.tensor([0.0, 0.01, 0.02, 0.03])[:, None]

    def curve(modulus):
        values = {"youngs_modulus": modulus}
        frames = rollout.trajectory(State.at_rest(mesh.vertices), values, motion_controls(path, step.dt))
        return readouts.reaction(rollout, frames, "x_max", values).force[:, 0]

    modulus = torch.tensor(1e5, requires_grad=True)
    force = curve(modulus)
    # A force in proportion to the modulus, at prescribed displacements.
    for index in (1, 3):
        (slope,) = torch.autograd.grad(force[index], modulus, retain_graph=True)
        torch.testing.assert_close(slope * 1e5, force[index], rtol=1e-8, atol=0)

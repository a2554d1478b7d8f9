import pytest
import torch

from simlayer import (
    BarrierContact,
    CoulombFriction,
    ElasticForce,
    Equilibrium,
    HalfSpace,
    Newmark,
    StableNeoHookean,
    State,
    box_mesh,
    readouts,
)

pytestmark = pytest.mark.usefixtures("float64")


def forces(mesh):
    ground = HalfSpace(point=(0.0, 0.0, -1e-3))
    return {
        "elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.3)),
        "ground": BarrierContact(mesh, ground, stiffness=1e5, activation_distance=2e-3),
    }


def test_the_ground_carries_the_weight_of_a_body_with_an_even_pressure():
    mesh = box_mesh(cells=(2, 2, 1), size=(0.2, 0.2, 0.1), element="hex8")
    mask = torch.zeros(len(mesh.vertices), 3, dtype=torch.bool)
    mask[:, :2] = True  # it may sink, and nothing else
    step = Equilibrium(mesh, forces(mesh), gravity=(0, 0, -9.8), fixed=mask)
    with torch.no_grad():
        state = step(State.at_rest(mesh.vertices))
        load = readouts.contact_loads(step, state, about=(0.1, 0.1, 0.0))["ground"]
    weight = 1000 * 4e-3 * 9.8
    torch.testing.assert_close(load.pushing.force, torch.tensor([0.0, 0.0, weight]), rtol=1e-9, atol=1e-9)
    assert float(load.pushing.torque.abs().max()) < 1e-9 * weight
    bottom = load.pressure[mesh.vertex_sets["z_min"]]
    # Vertices at the edge have the area of the sides, too.
    inside = bottom[bottom > 0].max()
    assert float(inside) == pytest.approx(weight / 0.04, rel=0.5)
    assert not bool(load.pressure[mesh.vertex_sets["z_max"]].any())


def test_friction_of_a_sliding_body_is_mu_times_what_presses_it():
    mesh = box_mesh(cells=(1, 1, 1), size=(0.1, 0.1, 0.1))
    rub = {"rub": CoulombFriction("ground", coefficient=0.4)}
    step = Newmark(mesh, forces(mesh), dt=1e-3, dissipation=rub)
    sliding = torch.tensor([1.0, 0.0, 0.0]).expand(len(mesh.vertices), 3)
    load = readouts.contact_loads(step, State(mesh.vertices, sliding))["ground"]
    assert float(load.pushing.force[2]) > 0
    expected = torch.stack([-0.4 * load.pushing.force[2], *torch.zeros(2)])
    torch.testing.assert_close(load.rubbing.force, expected, rtol=1e-6, atol=1e-9)

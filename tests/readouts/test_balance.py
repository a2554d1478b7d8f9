import math

import pytest
import torch
from support.scenes import Wind

from simlayer import (
    BarrierContact,
    CoulombFriction,
    ElasticForce,
    HalfSpace,
    KelvinVoigt,
    LinearElastic,
    MassDamping,
    Newmark,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
    motion_controls,
    readouts,
)

pytestmark = pytest.mark.usefixtures("float64")


def body():
    return box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))


def rollout_of(kind, law, steps, dt, forces=None, **options):
    mesh = body()
    forces = {"elastic": ElasticForce(mesh, law)} | (forces or {})
    return RolloutModule(kind(mesh, forces, dt=dt, **options), steps, compile=False)


def start(speed=0.0):
    mesh = body()
    return State(mesh.vertices, speed * mesh.vertices.roll(1, -1))


@pytest.mark.parametrize("mass_matrix", ["lumped", "consistent"])
def test_the_balance_of_newmark_with_a_linear_law_closes_to_rounding(mass_matrix):
    rollout = rollout_of(
        Newmark,
        LinearElastic(1e5, 0.3),
        60,
        2e-3,
        gravity=(0, 0, -9.8),
        fixed="x_min",
        mass_matrix=mass_matrix,
        substeps=2,
    )
    balance = readouts.energy_balance(rollout, start())
    assert balance.times.shape == (121,)
    scale = float(balance.energies.kinetic.max())
    assert float(balance.residual.abs().max()) < 1e-10 * scale


def test_what_moves_fixed_vertices_and_changes_gravity_does_work():
    law = LinearElastic(1e5, 0.3)
    rollout = rollout_of(Newmark, law, 60, 2e-3, fixed="x_min", substeps=2)
    path = body().vertices + 0.01 * torch.linspace(0, 3, 61).sin()[:, None, None]
    gravity = torch.linspace(0, -20, 60)[:, None] * torch.tensor([0.0, 0.3, 1.0])
    moved = readouts.energy_balance(rollout, start(), controls=motion_controls(path, 2e-3))
    scale = float(moved.energies.kinetic.max())
    assert float(moved.work["fixed"].abs().max()) > 0.1 * scale
    assert float(moved.residual.abs().max()) < 1e-10 * scale
    changed = readouts.energy_balance(rollout, start(), controls={"gravity": gravity})
    scale = float(changed.energies.kinetic.max())
    assert float(changed.work["controls"].abs().max()) > 0.1 * scale
    # To the first order in dt: a step starts with the acceleration by the gravity of the one before.
    assert float(changed.residual.abs().max()) < 0.1 * scale


def test_what_a_mass_damping_takes_out_is_lost_energy():
    rollout = rollout_of(
        Newmark,
        LinearElastic(1e5, 0.3),
        100,
        2e-3,
        gravity=(0, 0, -9.8),
        fixed="x_min",
        dissipation={"air": MassDamping(8.0)},
    )
    balance = readouts.energy_balance(rollout, start())
    scale = float(balance.energies.kinetic.max())
    assert float(balance.lost["air"][-1]) > 0.3 * scale
    assert bool((balance.lost["air"].diff(dim=0) >= 0).all())
    assert float(balance.residual.abs().max()) < 1e-10 * scale


@pytest.mark.parametrize("kind", [Newmark, SymplecticEuler])
def test_the_residual_of_viscous_nonlinear_bodies_vanishes_with_the_step(kind):
    residuals = []
    for steps in (100, 200):
        viscous = KelvinVoigt(body(), shear_viscosity=20.0)
        rollout = rollout_of(
            kind, StableNeoHookean(1e5, 0.3), steps, 0.02 / steps, {"viscous": viscous}, fixed="x_min"
        )
        balance = readouts.energy_balance(rollout, start(5.0))
        assert float(balance.lost["viscous"][-1]) > 0.05 * float(balance.energies.total[0])
        residuals.append(float(balance.residual[-1].abs()))
    assert math.log2(residuals[0] / residuals[1]) > 0.9


def test_the_work_of_a_force_without_an_energy_is_counted():
    rollout = rollout_of(SymplecticEuler, StableNeoHookean(1e5, 0.3), 200, 5e-5, {"wind": Wind(2.0)})
    with torch.no_grad():
        balance = readouts.energy_balance(rollout, start(1.0))
    gained = balance.energies.total[-1] - balance.energies.total[0]
    assert float(balance.work["wind"][-1]) == pytest.approx(float(gained), rel=0.02)


def test_friction_takes_out_the_energy_of_a_sliding_block():
    mesh = body()
    ground = BarrierContact(mesh, HalfSpace(point=(0, 0, -4.5e-3)), stiffness=1e5, activation_distance=5e-3)
    rollout = rollout_of(
        Newmark,
        StableNeoHookean(1e6, 0.3),
        150,
        1e-3,
        {"ground": ground},
        gravity=(0, 0, -9.8),
        dissipation={"friction": CoulombFriction("ground", coefficient=0.3)},
    )
    sliding = torch.tensor([0.4, 0.0, 0.0]).expand(len(mesh.vertices), 3)
    balance = readouts.energy_balance(rollout, State(mesh.vertices, sliding))
    initial = float(balance.energies.kinetic[0])
    # It stops after v/(mu g) = .136 s.
    assert float(balance.lost["friction"][-1]) == pytest.approx(initial, rel=0.1)
    assert float(balance.residual[-1]) < 1e-3 * initial  # bounces may lose, but nothing is gained


def test_a_balance_of_a_batch_is_that_of_each_sample():
    rollout = rollout_of(Newmark, StableNeoHookean(1e5, 0.3), 5, 2e-3, gravity=(0, 0, -9.8), fixed="x_min")
    values = torch.tensor([[1e5], [2e5]])
    whole = readouts.energy_balance(rollout, start(2.0), {"youngs_modulus": values})
    alone = readouts.energy_balance(rollout, start(2.0), {"youngs_modulus": values[1]})
    torch.testing.assert_close(whole.energies.total[:, 1], alone.energies.total)
    assert whole.residual.shape == (6, 2)

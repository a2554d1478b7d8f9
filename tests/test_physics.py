"""Exact solutions and invariants of the equations of motion, whatever the implementation."""

import itertools
import math

import pytest
import torch
from support.scenes import beam, free_box, moving, noise, rest
from torch import Tensor

from simlayer import (
    ElasticForce,
    MassDamping,
    Mesh,
    NodalLoad,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
)

pytestmark = pytest.mark.usefixtures("float64")

GRAVITY = (0.3, -0.2, -9.81)


def masses(step: SymplecticEuler) -> Tensor:
    return 1 / step.inverse_masses


def momentum(step: SymplecticEuler, state: State) -> tuple[Tensor, Tensor]:
    """Linear momentum, and angular momentum about the origin."""
    p = masses(step)[:, None] * state.velocities
    return p.sum(-2), torch.linalg.cross(state.positions, p).sum(-2)


def critical_dt(step: SymplecticEuler, positions: Tensor) -> float:
    """2/w of the highest frequency of the whole assembled body."""
    force = step.forces["elastic"]
    unit = torch.eye(positions.numel()).view(-1, *positions.shape)
    stiffness = force.hessian_product(positions.expand_as(unit), unit).flatten(1)
    scale = step.inverse_masses.repeat_interleave(3).sqrt()
    return 2 / math.sqrt(torch.linalg.eigvalsh(scale[:, None] * stiffness * scale)[-1])


def test_a_body_in_free_fall_follows_the_closed_solution_of_symplectic_euler():
    n, h = 100, 2e-3
    step = free_box(dt=h, gravity=GRAVITY)
    start = State(rest((2, 1, 1)), torch.tensor([0.5, 1.0, 2.0]).expand(12, 3))
    end = RolloutModule(step, n)(start)
    fallen = n * h * start.velocities + torch.tensor(GRAVITY) * h**2 * n * (n + 1) / 2
    assert torch.allclose(end.positions, start.positions + fallen, rtol=0, atol=1e-12)
    assert torch.allclose(
        end.velocities, start.velocities + n * h * torch.tensor(GRAVITY), rtol=0, atol=1e-12
    )


def test_a_free_body_keeps_its_linear_and_angular_momentum_to_rounding_at_every_step():
    # Loads and gravity absent, deformation of 10 %, rotation included by the random velocities.
    step = free_box(dt=1e-3)
    start = moving((2, 1, 1), amount=1e-2)
    frames = RolloutModule(step, 50).trajectory(start)
    states = [State(x, v) for x, v in zip(*frames[:2], strict=True)]
    scales = [(masses(step)[:, None] * start.velocities).norm(dim=-1).sum()]
    scales.append(scales[0] * start.positions.norm(dim=-1).max())
    for before, after in itertools.pairwise(states):
        for old, new, scale in zip(momentum(step, before), momentum(step, after), scales, strict=True):
            assert (new - old).norm() <= 1e-12 * scale


def test_the_energy_error_of_ten_thousand_steps_at_a_fifth_of_the_critical_step_stays_below_one_percent():
    step = free_box((1, 1, 1))
    step.dt = 0.2 * critical_dt(step, rest((1, 1, 1)))
    # A twist and a stretch of the whole box by 5 %, of which the energy is elastic at the start.
    x = rest((1, 1, 1))
    start = State.at_rest(x + 0.05 * (x - 0.05) @ noise(3, 3))
    frames = RolloutModule(step, 10_000, checkpoint="none").trajectory(start, every=10)
    # Velocities of symplectic Euler belong to half a step before the positions. Brought to the same time,
    # they conserve the energy to (h w)²/8 = 2 % of what is in the fastest mode, instead of to h w/2 = 20 %.
    elastic = step.forces["elastic"]
    accelerations = elastic(State(*frames[:2])) * step.inverse_masses[:, None]
    velocities = frames.velocities + 0.5 * step.dt * accelerations
    kinetic = 0.5 * (masses(step)[:, None] * velocities.square()).sum((-1, -2))
    energy = elastic.energy(frames.positions) + kinetic
    initial = elastic.energy(start.positions)
    assert kinetic.max() > 0.3 * initial, "the body does not vibrate, so the test shows nothing"
    assert (energy / initial - 1).abs().max() < 0.01


def test_symplectic_euler_converges_with_first_order_in_dt():
    duration, base = 0.06, 40
    ends = []
    for refinement in (1, 2, 4):
        step = beam(dt=duration / (base * refinement), prescribed_velocities=None, substeps=1)
        ends.append(RolloutModule(step, base * refinement)(State.at_rest(rest())).positions)
    coarse, fine = ends[1] - ends[0], ends[2] - ends[1]
    # The next term of the expansion is dt/T of the first, so an order of 1 is measured to a few percent.
    assert math.log2(coarse.norm() / fine.norm()) == pytest.approx(1.0, abs=0.1)


@pytest.mark.filterwarnings("ignore::simlayer.errors.ImplausibleWarning")
def test_millimetres_megapascals_and_tonnes_give_the_trajectory_of_metres_pascals_and_kilograms():
    def rollout(length: float, pressure: float, density: float) -> State:
        mesh = box_mesh(cells=(3, 1, 1), size=(0.3 * length, 0.1 * length, 0.1 * length))
        force = 0.5 * noise(16, 3) * pressure * length**2
        step = SymplecticEuler(
            mesh,
            {
                "elastic": ElasticForce(mesh, StableNeoHookean(1e5 * pressure, 0.4)),
                "load": NodalLoad(mesh, force),
            },
            dt=2e-3,
            density=1000 * density,
            gravity=(0.0, 0.0, -9.81 * length),
            fixed=mesh.vertex_sets["x_min"],
            dissipation={"damping": MassDamping(2.0)},
        )
        return RolloutModule(step, 100)(State.at_rest(mesh.vertices))

    metres, millimetres = rollout(1.0, 1.0, 1.0), rollout(1e3, 1e-6, 1e-12)
    for a, b in zip(metres[:2], millimetres[:2], strict=True):
        assert torch.allclose(a, b * 1e-3, rtol=0, atol=1e-10 * float(a.abs().max()))


def test_the_numbering_of_vertices_and_cells_does_not_matter():
    mesh = box_mesh(cells=(3, 1, 1), size=(0.3, 0.1, 0.1))
    order, cell_order = noise(16).argsort(), noise(18, seed=1).argsort()
    # The corners of a cell turn about corner 3, which keeps its orientation.
    cells = order.argsort()[mesh.cells[cell_order]][:, [1, 2, 0, 3]]
    renumbered = Mesh(mesh.vertices[order], cells)
    youngs_modulus = 1e5 * (1 + 0.3 * noise(18).tanh())

    def rollout(mesh: Mesh, modulus: Tensor, fixed: Tensor, start: State) -> State:
        force = ElasticForce(mesh, StableNeoHookean(modulus, 0.4))
        step = SymplecticEuler(mesh, {"elastic": force}, dt=2e-3, gravity=GRAVITY, fixed=fixed)
        return RolloutModule(step, 100)(start)

    fixed = mesh.vertices[:, 0] == 0
    start = moving()
    one = rollout(mesh, youngs_modulus, fixed, start)
    two = rollout(
        renumbered,
        youngs_modulus[cell_order],
        fixed[order],
        State(start.positions[order], start.velocities[order]),
    )
    # Sums are in another order; rounding grows little in 100 steps.
    assert torch.allclose(one.positions[order], two.positions, rtol=0, atol=1e-12)


@pytest.mark.parametrize("num_steps", [1, 10, 1000])
def test_mass_damping_decays_exactly_with_time_whatever_the_step(num_steps):
    rate, duration = 3.0, 0.5
    step = free_box(dt=duration / num_steps, dissipation={"damping": MassDamping(rate)})
    velocity = torch.tensor([1.0, -2.0, 0.5])
    # Without elasticity no step is too long; in rigid flight it has nothing to do.
    del step.forces["elastic"]
    end = RolloutModule(step, num_steps)(State(rest((2, 1, 1)), velocity.expand(12, 3)))
    assert torch.allclose(end.velocities, velocity.expand(12, 3) * math.exp(-rate * duration), rtol=1e-9)


def test_mass_damping_takes_the_same_from_all_directions_and_leaves_positions_to_the_velocities():
    step = free_box(dt=0.1, dissipation={"damping": MassDamping(3.0)})
    velocity = torch.tensor([1.0, -2.0, 0.5]).expand(12, 3)
    end = RolloutModule(step, 1, validate=False)(State(rest((2, 1, 1)), velocity))
    assert torch.allclose(
        end.positions - rest((2, 1, 1)), 0.1 * math.exp(-0.3) * velocity, rtol=0, atol=1e-15
    )


def test_held_vertices_do_not_move_at_all():
    step = beam(prescribed_velocities=None)
    start = moving()
    frames = RolloutModule(step, 50).trajectory(start)
    held = step.free[:, 0] == 0
    assert held.sum() == 4
    assert (frames.positions[:, held] == start.positions[held]).all()
    assert (frames.velocities[1:, held] == 0).all()


def test_held_components_do_not_move_and_the_others_of_the_same_vertex_do():
    held = torch.zeros(16, 3, dtype=torch.bool)
    held[:4, 0] = held[7, 2] = True
    start = moving()
    end = RolloutModule(beam(fixed=held, prescribed_velocities=None), 20)(start)
    assert torch.equal(end.positions == start.positions, held)
    assert torch.equal(end.velocities == 0, held)


def test_indices_and_masks_hold_the_same_vertices():
    indices = torch.tensor([1, 5, 6])
    mask = torch.zeros(16, dtype=torch.bool)
    mask[indices] = True
    ends = [
        RolloutModule(beam(fixed=fixed), 5)(moving())
        for fixed in (indices, mask, mask[:, None].expand(-1, 3))
    ]
    assert all(torch.equal(end.positions, ends[0].positions) for end in ends)


def test_held_vertices_follow_prescribed_velocities_exactly():
    # A power of two, so that sums of h v are exact.
    step = beam(dt=2.0**-8, prescribed_velocities=torch.tensor([[0.25, -0.5, 1.0]]))
    start = State.at_rest(rest().mul(1024).round() / 1024)
    frames = RolloutModule(step, 32).trajectory(start)
    held = step.free[:, 0] == 0
    times = torch.arange(33)[:, None, None] * step.dt
    expected = start.positions[held] + times * torch.tensor([0.25, -0.5, 1.0])
    assert torch.equal(frames.positions[:, held], expected)


def test_a_prescribed_rigid_motion_of_all_vertices_meets_no_resistance():
    velocity = torch.tensor([[0.3, 0.1, -0.2]])
    step = free_box(fixed=torch.ones(12, dtype=torch.bool), prescribed_velocities=velocity, gravity=GRAVITY)
    end = RolloutModule(step, 40)(State.at_rest(rest((2, 1, 1))))
    assert torch.allclose(end.positions, rest((2, 1, 1)) + 40 * step.dt * velocity, rtol=0, atol=1e-14)


def test_a_damped_hanging_body_comes_to_rest_where_elastic_forces_balance_its_weight():
    mesh = box_mesh(cells=(1, 1, 3), size=(0.1, 0.1, 0.3))
    step = SymplecticEuler(
        mesh,
        {"elastic": ElasticForce(mesh, StableNeoHookean(5e4, 0.3))},
        dt=4e-3,
        gravity=(0.0, 0.0, -9.81),
        fixed=mesh.vertex_sets["z_max"],
        dissipation={"damping": MassDamping(16.0)},
    )
    end = RolloutModule(step, 1000)(State.at_rest(mesh.vertices))
    weight = masses(step) * 9.81
    forces = step.forces["elastic"](end)
    free = step.free[:, 0] == 1
    # The slowest mode (10 rad/s) is underdamped and decays as exp(-8 t): by exp(-32) in these 4 s.
    assert end.velocities.abs().max() < 1e-10
    assert torch.allclose(forces[free, 2], weight[free], rtol=0, atol=1e-8 * float(weight.sum()))
    assert forces[free, :2].abs().max() < 1e-8 * weight.sum()
    # The support carries the weight of all that hangs; free of motion, internal forces sum to zero.
    assert -forces[~free, 2].sum() == pytest.approx(float(weight[free].sum()), rel=1e-8)
    # A rod lengthens under its own weight by rho g L²/2E = 3 %; the held end stiffens it a little.
    tip = (end.positions - mesh.vertices)[mesh.vertex_sets["z_min"], 2].mean()
    assert -tip == pytest.approx(1000 * 9.81 * 0.3**2 / (2 * 5e4), rel=0.1)


def test_a_load_accelerates_the_centre_of_mass_of_a_free_body_by_force_over_mass():
    n = 40
    forces = noise(12, 3)
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))
    step = free_box(forces={"load": NodalLoad(mesh, forces)}, dt=1e-3)
    start = moving((2, 1, 1))
    end = RolloutModule(step, n)(start)
    share = (masses(step) / masses(step).sum())[:, None]
    assert masses(step).sum() == pytest.approx(1000 * 0.2 * 0.1 * 0.1, rel=1e-13)
    acceleration = forces.sum(0) / 2.0
    moved = (share * (end.positions - start.positions - n * step.dt * start.velocities)).sum(0)
    assert torch.allclose(moved, acceleration * step.dt**2 * n * (n + 1) / 2, rtol=0, atol=1e-12)


@pytest.mark.parametrize("poissons_ratio", [0.0, 0.3, 0.45, 0.49])
def test_the_stable_time_step_is_below_the_critical_one_and_not_far(poissons_ratio):
    step = free_box((3, 2, 1), poissons_ratio=poissons_ratio)
    critical, stable = critical_dt(step, rest((3, 2, 1))), step.stable_dt(State.at_rest(rest((3, 2, 1))))
    cheap = float(step.stable_dts())
    assert cheap <= stable * (1 + 1e-12)
    assert 0.5 * critical < stable <= critical
    assert cheap > 0.4 * critical


def test_a_rollout_just_below_the_stable_time_step_stays_bounded_for_two_thousand_steps():
    step = free_box((1, 1, 1))
    start = State.at_rest(rest((1, 1, 1)) + 1e-4 * noise(8, 3))
    step.dt = 0.95 * step.stable_dt(start)
    frames = RolloutModule(step, 2000, checkpoint="none").trajectory(start, every=100)
    assert (frames.positions - rest((1, 1, 1))).abs().max() < 1e-2


def test_a_rollout_at_three_times_the_critical_time_step_blows_up():
    step = free_box((1, 1, 1))
    start = State.at_rest(rest((1, 1, 1)) + 1e-4 * noise(8, 3))
    step.dt = 3 * critical_dt(step, start.positions)
    end = RolloutModule(step, 100, validate=False)(start)
    assert not (end.positions.abs() < 1e3).all()


@pytest.mark.parametrize("substeps", [2, 5])
def test_substeps_are_steps_of_a_fraction_of_dt(substeps):
    dt = 2.0**-8  # dt/k*k is exact, but h = dt/5 is rounded once in both
    coarse = RolloutModule(beam(dt=dt, substeps=substeps), 6)(moving())
    fine = RolloutModule(beam(dt=dt / substeps, substeps=1), 6 * substeps)(moving())
    assert torch.equal(coarse.positions, fine.positions)
    assert torch.equal(coarse.velocities, fine.velocities)


def test_heavier_and_stiffer_by_the_same_factor_moves_alike_without_loads():
    # Without external forces only the wave speed, sqrt(E/rho), matters.
    light = RolloutModule(free_box(youngs_modulus=1e5, density=1000.0), 50)(moving((2, 1, 1)))
    heavy = RolloutModule(free_box(youngs_modulus=7e5, density=7000.0), 50)(moving((2, 1, 1)))
    assert torch.allclose(light.positions, heavy.positions, rtol=0, atol=1e-12)


def test_time_runs_backwards_to_where_it_started():
    # Symplectic Euler and its adjoint: velocities reversed between two steps retrace the positions.
    n, h = 100, 1e-3
    step = free_box(dt=h)
    start = moving((2, 1, 1))
    frames = RolloutModule(step, n).trajectory(start)
    # Backwards the positions move first: x_{n-1} = x_n - h v_n, and from there forces act as forwards.
    end = RolloutModule(step, n - 1)(
        State(frames.positions[-1] - h * frames.velocities[-1], -frames.velocities[-1])
    )
    assert torch.allclose(end.positions, start.positions, rtol=0, atol=1e-12)

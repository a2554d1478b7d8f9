"""Viscoelastic forces: relaxation, creep and vibration against closed forms, large strains, refusals."""

import math

import pytest
import torch
from support.materials import rotations

from simlayer import (
    Equilibrium,
    Mesh,
    NeoHookean,
    NodalLoad,
    Ogden,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    ViscoelasticForce,
    box_mesh,
    readouts,
)

pytestmark = pytest.mark.usefixtures("float64")

G, NU = 1e5, 0.3
RATIOS, TIMES = (0.5, 0.25), (0.1, 1.0)


def cube():
    return box_mesh(cells=(1, 1, 1), size=(1.0, 1.0, 1.0), element="hex8")


def viscoelastic(mesh, *, ratios=RATIOS, times=TIMES, material=None):
    material = NeoHookean(2 * G * (1 + NU), NU) if material is None else material
    return ViscoelasticForce(mesh, material, ratios=ratios, relaxation_times=times)


def held(mesh, dt, **options):
    """A step in which nothing moves but by prescribed velocities."""
    every = torch.ones(len(mesh.vertices), dtype=torch.bool)
    return Equilibrium(mesh, {"elastic": viscoelastic(mesh, **options)}, dt=dt, fixed=every)


def sheared(mesh, amount):
    positions = mesh.vertices.clone()
    positions[:, 0] += amount * mesh.vertices[:, 1]
    return positions


def stress(step, state):
    """The shear stress P_xy, which is uniform."""
    return readouts.piola_kirchhoff_stress(step, state)[..., 0, 0, 0, 1]


def relaxation(t, ratios=RATIOS, times=TIMES):
    return 1 + sum(ratio * math.exp(-t / time) for ratio, time in zip(ratios, times, strict=True))


def test_a_small_shear_that_is_held_relaxes_as_the_series_says():
    mesh, strain = cube(), 1e-5
    state = held(mesh, 1e-9)(State.at_rest(sheared(mesh, strain)))
    assert float(stress(held(mesh, 1e-9), state)) == pytest.approx(1.75 * G * strain, rel=1e-6)
    step = held(mesh, 0.05)
    for k in range(1, 31):
        state = step(state)
        assert float(stress(step, state)) == pytest.approx(relaxation(0.05 * k) * G * strain, rel=1e-6)


@pytest.mark.parametrize(
    "law",
    [lambda: StableNeoHookean(3e5, 0.4), lambda: Ogden((1e5, -2e4), (2.0, -2.0), 1e6)],
    ids=["stable", "ogden"],
)
def test_a_large_deformation_that_is_held_relaxes_to_the_stress_of_the_material(law):
    mesh, material = cube(), law()
    positions = mesh.vertices @ torch.tensor([[1.4, 0.3, 0.0], [0.1, 0.8, 0.0], [0.0, 0.2, 0.9]])
    step = held(mesh, 1e-12, material=material, ratios=(0.5,), times=(0.2,))
    state = step(State.at_rest(positions))
    sudden = readouts.piola_kirchhoff_stress(step, state)
    end = held(mesh, 1e6, material=material, ratios=(0.5,), times=(0.2,))(state)
    lasting = readouts.piola_kirchhoff_stress(step, end)
    half = held(mesh, 0.2 * math.log(2), material=material, ratios=(0.5,), times=(0.2,))(state)
    assert torch.allclose(readouts.piola_kirchhoff_stress(step, half), (sudden + lasting) / 2, rtol=1e-9)
    # The pressure does not relax: the two differ by half of the deviator that is left.
    cauchy = [readouts.cauchy_stress(step, each)[0, 0] for each in (state, end)]
    assert float(cauchy[0].trace()) == pytest.approx(float(cauchy[1].trace()), rel=1e-9)
    if not isinstance(material, Ogden):
        return  # a law whose deviator depends on the volume, too
    deviators = [each - each.trace() / 3 * torch.eye(3) for each in cauchy]
    assert torch.allclose(deviators[0], 1.5 * deviators[1], rtol=1e-8)


def test_a_constant_load_makes_a_body_creep_as_the_compliance_says():
    mesh, ratio, time, dt = cube(), 1.0, 0.5, 0.005
    top, load = mesh.vertices[:, 1] > 0.5, 2.0
    fixed = torch.ones(8, 3, dtype=torch.bool)
    fixed[top, 0] = False
    forces = torch.zeros(8, 3)
    forces[top, 0] = load / 4
    parts = {"elastic": viscoelastic(mesh, ratios=(ratio,), times=(time,)), "load": NodalLoad(mesh, forces)}
    start = Equilibrium(mesh, parts, dt=1e-9, fixed=fixed)(State.at_rest(mesh.vertices))
    rollout = RolloutModule(Equilibrium(mesh, parts, dt=dt, fixed=fixed), 200)
    strains = rollout.trajectory(start).positions[:, top, 0].mean(-1) - mesh.vertices[top, 0].mean()
    t = dt * torch.arange(201)
    share = ratio / (1 + ratio)
    expected = load / G * (1 - share * torch.exp(-t / (time * (1 + ratio))))
    # The strain is taken as linear over a step: an error of (dt / 12 times the rate)².
    assert torch.allclose(strains, expected, rtol=1e-5)


def test_a_vibration_has_the_storage_and_loss_moduli_of_the_series():
    mesh, steps, strain = cube(), 400, 1e-5
    omega = 2 * math.pi  # one period takes 1 s
    every = torch.ones(8, dtype=torch.bool)
    step = SymplecticEuler(mesh, {"elastic": viscoelastic(mesh)}, dt=1 / steps, fixed=every)
    t = torch.arange(8 * steps + 1) / steps
    rates = strain * torch.sin(omega * t).diff() * steps
    velocities = torch.zeros(len(rates), 8, 3)
    velocities[:, :, 0] = rates[:, None] * mesh.vertices[:, 1]
    motion = RolloutModule(step, len(rates), compile=False).trajectory(
        State.at_rest(mesh.vertices), controls={"prescribed_velocities": velocities}
    )
    last = slice(7 * steps, 8 * steps)
    found = stress(step, State(*motion[:2], motion.history))[last] / strain
    waves = torch.sin(omega * t[last]), torch.cos(omega * t[last])
    storage, loss = (2 * (found * wave).mean() for wave in waves)
    terms = [(ratio, omega * time) for ratio, time in zip(RATIOS, TIMES, strict=True)]
    assert float(storage) == pytest.approx(G * (1 + sum(r * w**2 / (1 + w**2) for r, w in terms)), rel=1e-4)
    assert float(loss) == pytest.approx(G * sum(r * w / (1 + w**2) for r, w in terms), rel=1e-4)


def test_forces_turn_with_the_body_and_its_past():
    mesh = box_mesh(cells=(1, 1, 1))
    force, (R,) = viscoelastic(mesh), rotations(1)
    first, second = (mesh.vertices + 0.1 * torch.randn(8, 3) for _ in range(2))
    plain, turned = [force.updated(x, 0.05) for x in (first, first @ R.T)]
    assert torch.allclose(plain, turned, rtol=0, atol=1e-9 * float(plain.abs().max()))
    force.internal_variables = plain
    forces = force(State.at_rest(second))
    moved = force(State.at_rest(second @ R.T))
    assert torch.allclose(moved, forces @ R.T, rtol=0, atol=1e-11 * float(forces.abs().max()))


def test_the_stiffness_at_rest_counts_what_relaxes():
    mesh = box_mesh(cells=(2, 2, 2))
    state = State.at_rest(mesh.vertices)
    force = viscoelastic(mesh, ratios=(3.0,), times=(1e3,))
    bound, exact = force.stiffness_bound(None), force.stiffness_bound(state)
    plain = viscoelastic(mesh, ratios=(1e-9,), times=(1.0,)).stiffness_bound(state)
    assert bool((bound >= exact).all())
    assert bool((exact > 1.5 * plain).all())


def test_a_value_per_region_is_that_of_its_cells():
    mesh = box_mesh(cells=(2, 1, 1), element="hex8")
    regions = torch.tensor([0, 1])
    options = {"material": NeoHookean(1e5, 0.3), "relaxation_times": (0.1,)}
    both = ViscoelasticForce(mesh, ratios=(torch.tensor([0.2, 0.9]),), regions=regions, **options)
    x = mesh.vertices + 0.05 * torch.randn(*mesh.vertices.shape)
    left = ViscoelasticForce(mesh, ratios=(0.2,), **options)
    right = ViscoelasticForce(mesh, ratios=(0.9,), **options)
    forces = both(State.at_rest(x))
    for force, ends in ((left, mesh.vertices[:, 0] < 0.1), (right, mesh.vertices[:, 0] > 0.9)):
        assert torch.allclose(forces[ends], force(State.at_rest(x))[ends], rtol=1e-12)


def test_regions_of_the_mesh_are_those_of_its_values():
    box = box_mesh(cells=(2, 1, 1), element="hex8")
    mesh = Mesh(box.vertices, box.cells, cell_regions=torch.tensor([0, 1]), region_names=("left", "right"))
    options = {"ratios": (torch.tensor([0.2, 0.9]),), "relaxation_times": (0.1,)}
    force = ViscoelasticForce.by_region(mesh, NeoHookean(1e5, 0.3), **options)
    plain = ViscoelasticForce(box, NeoHookean(1e5, 0.3), regions=torch.tensor([0, 1]), **options)
    state = State.at_rest(box.vertices + 0.05 * torch.randn(*box.vertices.shape))
    assert torch.equal(force(state), plain(state))


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ratios": (0.1, 0.2)}, "ratios and relaxation_times must have a value for each term"),
        ({"ratios": ()}, "ratios must have a value for each term"),
        ({"ratios": (-0.1,)}, "ratio must be positive"),
        ({"relaxation_times": (0.0,)}, "relaxation_time must be positive"),
        ({"relaxation_times": 0.1}, "relaxation_times must be a sequence"),
    ],
)
def test_wrong_series_are_refused(changes, message):
    values = {"ratios": (0.1,), "relaxation_times": (1.0,)} | changes
    with pytest.raises((TypeError, ValueError), match=message):
        ViscoelasticForce(box_mesh(cells=(1, 1, 1)), NeoHookean(1e5, 0.3), **values)

"""What a step computes, and what its constructor refuses."""

import copy
import math

import pytest
import torch
from support.scenes import beam, free_box, moving, noise, rest, same
from torch import Tensor

from simlayer import (
    BackwardEuler,
    BarrierContact,
    Dissipation,
    DistributedLoad,
    ElasticForce,
    Force,
    HalfSpace,
    KelvinVoigt,
    MassDamping,
    NodalLoad,
    PointMass,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
)

pytestmark = pytest.mark.usefixtures("float64")


def test_a_substep_is_the_formula_of_symplectic_euler():
    step, state = beam(), moving()
    h = 4e-3 / 2
    masses = 1000.0 * step.elements.vertex_masses(torch.ones(1))
    forces = step.forces["elastic"](state) + step.forces["load"].forces
    velocities = state.velocities + h * (torch.tensor([1.0, -2.0, -9.81]) + forces / masses[:, None])
    velocities = velocities * math.exp(-2.0 * h)
    held = (rest()[:, 0] == 0)[:, None]
    velocities = torch.where(held, step.prescribed_velocities, velocities)
    after = step.substep(state)
    # The same operations up to their order.
    assert torch.allclose(after.velocities, velocities, rtol=1e-13, atol=1e-14)
    assert torch.allclose(after.positions, state.positions + h * velocities, rtol=1e-14)


def test_a_step_is_its_substeps():
    step, state = beam(substeps=3), moving()
    assert same(step(state), step.substep(step.substep(step.substep(state))))


def test_a_rollout_of_one_step_is_the_step():
    step, state = beam(), moving()
    assert same(RolloutModule(step, 1)(state), step(state))


def test_a_step_refuses_a_history_that_it_would_carry_along_until_it_is_stale():
    history = (noise(16, 3, seed=9),)
    with pytest.raises(ValueError, match="history of 1 tensors from another kind of step, SymplecticEuler"):
        RolloutModule(beam(), 3)(State(*moving()[:2], history))


def test_a_step_does_not_change_its_arguments():
    step, state = beam(), moving()
    before = State(state.positions.clone(), state.velocities.clone())
    RolloutModule(step, 3)(state)
    assert same(state, before)


def test_the_stable_time_step_shrinks_with_the_square_root_of_stiffness_over_density():
    base = free_box()
    assert float(free_box(youngs_modulus=4e5).stable_dts() / base.stable_dts()) == pytest.approx(
        1 / 2, rel=1e-12
    )
    assert float(free_box(density=4000.0).stable_dts() / base.stable_dts()) == pytest.approx(2.0, rel=1e-12)
    assert float(free_box(substeps=3).stable_dts() / base.stable_dts()) == pytest.approx(3.0, rel=1e-12)


def test_a_body_without_stiffness_is_stable_at_any_time_step():
    step = free_box()
    del step.forces["elastic"]
    assert step.stable_dt(moving((2, 1, 1))) == math.inf


def test_an_automatic_time_step_is_half_of_the_stable_one_at_rest():
    for options in ({}, {"youngs_modulus": 3e6}, {"density": 7.0}, {"substeps": 3}):
        step = free_box(dt="auto", **options)
        # It is rounded to two digits.
        assert step.dt == pytest.approx(float(step.stable_dts()) / 2, rel=0.05)
        assert step.dt == float(f"{step.dt:.1e}")
    least = free_box(dt="auto", density=torch.linspace(100.0, 1000.0, 12))
    assert least.dt == pytest.approx(float(least.stable_dts().min()) / 2, rel=0.05)


def test_an_automatic_time_step_needs_a_stiffness():
    with pytest.raises(ValueError, match=r"dt='auto' needs a force with a stiffness.*give seconds"):
        SymplecticEuler(box_mesh(cells=(1, 1, 1)), {}, dt="auto")


def test_a_time_step_can_not_be_another_word():
    # Runtime checks of annotations are faster than the constructor, and a TypeError.
    with pytest.raises((ValueError, TypeError), match="dt"):
        free_box(dt="automatic")


class FirstToZero(Force):
    def forward(self, state: State) -> Tensor:
        return -state.velocities


def test_dissipation_comes_after_the_forces():
    # m v' = v - h v/m first and exp(-c h) then: two factors, whatever the names say.
    step = free_box(forces={"drag": FirstToZero()}, dissipation={"a": MassDamping(3.0)}, dt=1e-3)
    velocities = torch.tensor([1.0, 2.0, 3.0]).expand(12, 3)
    end = step(State(rest((2, 1, 1)), velocities))
    factor = (1 - 1e-3 * step.inverse_masses) * math.exp(-3e-3)
    assert torch.allclose(end.velocities, factor[:, None] * velocities, rtol=1e-13)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dt": 0.0}, r"dt must be a positive finite number in s, .*got 0.0"),
        ({"dt": -1e-3}, r"dt must be a positive finite number in s, .*got -0.001"),
        ({"dt": math.nan}, r"dt must be a positive finite number in s, .*got nan"),
        ({"dt": math.inf}, r"dt must be a positive finite number in s, .*got inf"),
        ({"dt": 1e-300}, r"dt must be .* at least 1e-18 and at most 1e\+18, got 1e-300"),
        ({"dt": 1e300}, r"dt must be .* at least 1e-18 and at most 1e\+18, got 1e\+300"),
        ({"substeps": 0}, r"substeps must be an int, at least 1, got 0"),
        ({"density": 0.0}, r"density must be positive, got 0"),
        ({"density": torch.ones(5)}, r"density has shape \(5,\)"),
        ({"gravity": (0.0, 0.0, math.nan)}, r"gravity must be finite, got NaN"),
        ({"gravity": torch.zeros(2)}, r"gravity has shape \(2,\)"),
        ({"fixed": torch.tensor([0, 16])}, r"fixed holds vertex 16, but the mesh has vertices 0 to 15"),
        ({"fixed": torch.tensor([-1, 3])}, r"fixed holds vertex -1, but the mesh has vertices 0 to 15"),
        (
            {"fixed": torch.zeros(15, dtype=torch.bool)},
            r"fixed must be .*\(16,\).*got .*\(15,\),? torch.bool",
        ),
        ({"fixed": torch.zeros(16, 2, dtype=torch.bool)}, r"fixed must be .*got .*\(16, 2\),? torch.bool"),
        ({"fixed": torch.zeros(16)}, r"fixed must be .*got .*\(16,\),? torch.float"),
        ({"prescribed_velocities": torch.zeros(15, 3)}, r"prescribed_velocities has shape \(15, 3\)"),
    ],
)
def test_a_step_refuses_what_it_cannot_be_made_of(options, message):
    with pytest.raises(ValueError, match=message):
        beam(**options)


@pytest.mark.parametrize("nothing", [[], (), (3,)], ids=["indices", "vertices", "components"])
def test_a_selection_of_no_vertex_to_fix_is_refused_with_where_the_vertices_are(nothing):
    mesh = box_mesh(cells=(1, 1, 1))
    shape = (len(mesh.vertices), *nothing) if nothing != [] else (0,)
    fixed = torch.zeros(shape, dtype=torch.int64 if nothing == [] else torch.bool)
    with pytest.raises(ValueError, match=r"fixed selects none .* 1\.0\] m"):
        SymplecticEuler(mesh, {}, dt=1e-3, fixed=fixed)


class Returning(Force):
    """A force that returns what it is given."""

    def __init__(self, result):
        super().__init__()
        self.result = result

    def forward(self, state):
        return self.result


class Keeping(Dissipation):
    """A dissipation that keeps the speed of each vertex only."""

    def forward(self, state, velocities, context):
        return velocities.norm(dim=-1)


@pytest.mark.unchecked
@pytest.mark.parametrize("kind", [SymplecticEuler, BackwardEuler])
@pytest.mark.parametrize("result", [None, 1.0, torch.ones(12), torch.ones(12, 1), torch.ones(2, 12, 3)])
def test_what_a_force_returns_that_is_no_vector_for_every_vertex_is_named(kind, result):
    mesh = box_mesh(cells=(2, 1, 1))
    step = kind(mesh, {"mine": Returning(result)}, dt=1e-3)
    with pytest.raises(TypeError, match=r"Returning.forward must return a vector .* \(12, 3\)"):
        step(State.at_rest(mesh.vertices))


@pytest.mark.unchecked
@pytest.mark.parametrize("kind", [SymplecticEuler, BackwardEuler])
@pytest.mark.parametrize(
    ("result", "got"),
    [
        (torch.ones(12, 3, dtype=torch.float64), "torch.float64"),
        (torch.ones(12, 3, dtype=torch.int64), "torch.int64"),
        (torch.ones(12, 3, dtype=torch.bool), "torch.bool"),
        (torch.ones(12, 3, dtype=torch.complex128), "complex"),
        (torch.ones(12, 3).to_sparse(), "sparse"),
        (torch.ones(12, 3, device="meta"), "meta"),
    ],
)
def test_what_a_force_returns_that_is_no_plain_tensor_in_the_states_precision_is_named(kind, result, got):
    torch.set_default_dtype(torch.float32)
    mesh = box_mesh(cells=(2, 1, 1))
    step = kind(mesh, {"mine": Returning(result)}, dt=1e-3)
    with pytest.raises(TypeError, match=f"Returning.forward must return .* got .*{got}"):
        step(State.at_rest(mesh.vertices))


class Stopping(Dissipation):
    """A dissipation that returns what it is given."""

    def __init__(self, result):
        super().__init__()
        self.result = result

    def forward(self, state, velocities, context):
        return self.result


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("result", "got"), [(torch.zeros(3), r"shape \(3,\)"), (torch.zeros(12, 3).half(), "torch.float16")]
)
def test_a_dissipation_must_return_a_velocity_for_every_vertex_in_the_states_precision(result, got):
    mesh = box_mesh(cells=(2, 1, 1))
    step = SymplecticEuler(mesh, {}, dt=1e-3, dissipation={"mine": Stopping(result)})
    with pytest.raises(TypeError, match=f"Stopping.forward must return .* got {got}"):
        step(State.at_rest(mesh.vertices))


@pytest.mark.unchecked
@pytest.mark.parametrize("kind", [SymplecticEuler, BackwardEuler])
def test_what_a_dissipation_returns_that_is_no_vector_for_every_vertex_is_named(kind):
    mesh = box_mesh(cells=(2, 1, 1))
    step = kind(mesh, {}, dt=1e-3, dissipation={"mine": Keeping()})
    with pytest.raises(TypeError, match=r"Keeping.forward must return a vector .* got shape \(12,\)"):
        step(State.at_rest(mesh.vertices))


@pytest.mark.parametrize("vectors", [torch.ones(3), torch.ones(1, 3), torch.ones(12, 3)])
def test_a_force_may_be_the_same_on_all_samples_or_vertices(vectors):
    mesh = box_mesh(cells=(2, 1, 1))
    state = State.at_rest(mesh.vertices.expand(2, -1, -1))
    one = SymplecticEuler(mesh, {"mine": Returning(vectors)}, dt=1e-3)(state)
    whole = SymplecticEuler(mesh, {"mine": Returning(vectors.expand(2, 12, 3))}, dt=1e-3)(state)
    assert torch.equal(one.positions, whole.positions)


def test_a_mesh_and_a_step_share_no_memory():
    mesh = box_mesh(cells=(1, 1, 1))
    step = SymplecticEuler(mesh, {}, dt=1e-3, gravity=(0.0, 0.0, -1.0))
    before = step(State.at_rest(mesh.vertices.clone()))
    mesh.vertices.mul_(2.0)
    assert same(before, step(State.at_rest(mesh.vertices / 2)))


def test_vertices_fall_by_the_gravity_of_all_and_their_own():
    mesh = box_mesh(cells=(1, 1, 1))
    step = SymplecticEuler(mesh, {}, dt=0.5, gravity=(0.0, 0.0, -8.0))
    step.vertex_gravity = torch.arange(24.0).view(8, 3)
    end = step(State.at_rest(mesh.vertices))
    assert torch.equal(end.velocities, 0.5 * (step.gravity + step.vertex_gravity))


def test_a_vertex_set_is_fixed_by_its_name():
    mesh = box_mesh(cells=(2, 1, 1))
    held = SymplecticEuler(mesh, {}, dt=1e-3, fixed="x_min").free == 0
    assert torch.equal(held, (mesh.vertices[:, :1] == 0).expand(-1, 3))
    with pytest.raises(ValueError, match=r"fixed: the mesh has no vertex set 'x_mni'; it has .*'x_min'"):
        SymplecticEuler(mesh, {}, dt=1e-3, fixed="x_mni")


OTHERS = {
    "equal counts": {"cells": (2, 1, 1), "size": (0.2, 0.1, 0.11)},
    "other counts": {"cells": (3, 1, 1), "size": (0.2, 0.1, 0.1)},
}
PARTS = {
    "forces.elastic": lambda mesh: {"forces": {"elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.3))}},
    "forces.viscous": lambda mesh: {"forces": {"viscous": KelvinVoigt(mesh, shear_viscosity=1.0)}},
    "forces.load": lambda mesh: {"forces": {"load": NodalLoad(mesh, torch.zeros(len(mesh.vertices), 3))}},
    "forces.spread": lambda mesh: {"forces": {"spread": DistributedLoad(mesh, "x_max", force=(0, 0, 1.0))}},
    "forces.contact": lambda mesh: {
        "forces": {
            "contact": BarrierContact(
                mesh, HalfSpace(point=(0, 0, -1.0)), stiffness=1e4, activation_distance=0.01
            )
        }
    },
    "masses.hook": lambda mesh: {"masses": {"hook": PointMass(mesh, "x_max", mass=0.1)}},
}


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("other", OTHERS)
def test_a_part_that_was_made_for_another_mesh_is_named(name, other):
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))
    with pytest.raises(ValueError, match=rf"{name} was made for another mesh"):
        SymplecticEuler(mesh, dt=1e-4, **{"forces": {}, **PARTS[name](box_mesh(**OTHERS[other]))})


@pytest.mark.parametrize("name", PARTS)
def test_a_part_made_for_an_equal_mesh_fits_and_so_does_its_copy(name):
    mesh, equal = (box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1)) for _ in range(2))
    parts = copy.deepcopy(PARTS[name](equal))
    SymplecticEuler(mesh, dt=1e-4, **{"forces": {}, **parts})

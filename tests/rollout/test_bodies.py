"""Bodies in one batch: equal to simulations one by one, in values and gradients, with values of their own."""

import pickle

import pytest
import torch
from support.meshes import wavy
from support.scenes import noise
from torch import Tensor
from torch.utils.data import DataLoader

from simlayer import (
    BarrierContact,
    Bodies,
    Body,
    ElasticForce,
    Equilibrium,
    HalfSpace,
    KelvinVoigt,
    Mesh,
    Newmark,
    NewtonSolver,
    NodalLoad,
    RolloutModule,
    StableNeoHookean,
    State,
    Step,
    SymplecticEuler,
    collate_bodies,
)

pytestmark = pytest.mark.usefixtures("float64")

SIZES = [(2, 1, 1), (1, 2, 1), (2, 1, 2)]
GRAVITY = torch.tensor([[0.0, 0.0, -9.81], [3.0, 0.0, 0.0], [0.0, -5.0, 2.0]], dtype=torch.float64)
E = "forces.elastic.material.youngs_modulus"


def meshes(element: str = "tet4") -> list[Mesh]:
    return [wavy(element, size) for size in SIZES]


def step_of(mesh: Mesh, kind: type[Step] = SymplecticEuler, *, viscous: bool = True, **options) -> Step:
    forces = {
        "elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.3)),
        "load": NodalLoad(mesh, torch.zeros(1, 3)),
    }
    if viscous:
        forces["viscous"] = KelvinVoigt(mesh, shear_viscosity=20.0)
    options = {"dt": 2e-3, "gravity": (0.0, 0.0, -9.81), "fixed": "x_min"} | options
    return kind(mesh, forces, **options)


def starts(batch: list[Mesh]) -> list[State]:
    return [
        State(mesh.vertices + 5e-3 * noise(*mesh.vertices.shape, seed=i), noise(*mesh.vertices.shape, seed=9))
        for i, mesh in enumerate(batch)
    ]


def leaves(batch: list[Mesh], *, viscous: bool = True) -> dict[str, list[Tensor]]:
    """Values of every kind that differ: one for a body, one per cell, per vertex, and gravity."""
    values = {
        E: [torch.tensor(1e5 * (i + 1)) for i in range(3)],
        "poissons_ratio": [0.3 + 0.05 * torch.sin(torch.arange(float(len(m.cells)))) for m in batch],
        "log_density": [torch.tensor([6.5 + 0.3 * i]) for i in range(3)],
        "shear_viscosity": [torch.tensor([10.0 + 5 * i]) for i in range(3)],
        "forces.load.forces": [noise(len(m.vertices), 3, seed=5) for m in batch],
        "gravity": list(GRAVITY.clone()),
    }
    if not viscous:
        del values["shear_viscosity"]
    return {name: [row.requires_grad_() for row in rows] for name, rows in values.items()}


def loss(state: State) -> Tensor:
    return (
        state.positions * noise(*state.positions.shape[-2:], seed=7)
    ).sum() + state.velocities.square().sum()


def one_by_one(
    batch: list[Mesh], num_steps: int, values: dict[str, list[Tensor]], **options
) -> tuple[list[State], list[Tensor]]:
    """The ends of single rollouts, and the gradients by all values."""
    ends = []
    for index, (mesh, start) in enumerate(zip(batch, starts(batch), strict=True)):
        rollout = RolloutModule(step_of(mesh, **options), num_steps, compile=False)
        ends.append(rollout(start, {name: rows[index] for name, rows in values.items()}))
    sum(map(loss, ends)).backward()
    return ends, [row.grad for rows in values.values() for row in rows]


def together(
    batch: list[Mesh], num_steps: int, values: dict[str, list[Tensor]], compile: bool = False, **options
) -> tuple[list[State], list[Tensor]]:
    """The same by one rollout."""
    bodies = Bodies([Body(mesh, start) for mesh, start in zip(batch, starts(batch), strict=True)])
    rollout = RolloutModule(step_of(bodies.mesh, **options), num_steps, compile=compile)
    ends = bodies.split(rollout(bodies.state, bodies.parameters(rollout.step, values)))
    sum(map(loss, ends)).backward()
    return ends, [row.grad for rows in values.values() for row in rows]


def check_equal(found, expected, tolerance: float) -> None:
    (ends, gradients), (single_ends, single_gradients) = found, expected
    for end, single in zip(ends, single_ends, strict=True):
        for a, b in zip(end[:2], single[:2], strict=True):
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
    for a, b in zip(gradients, single_gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * float(b.abs().max()))


@pytest.mark.parametrize("element", ["tet4", "hex8"])
def test_an_explicit_rollout_of_bodies_is_that_of_each_in_values_and_gradients(element):
    batch = meshes(element)
    # Other orders of sums over cells only.
    check_equal(together(batch, 20, leaves(batch)), one_by_one(batch, 20, leaves(batch)), 1e-12)


@pytest.mark.compiled
@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
def test_a_compiled_rollout_of_bodies_is_that_of_each():
    batch = meshes()
    # Without viscosity, for the sake of the compiler's time.
    found = together(batch, 5, leaves(batch, viscous=False), compile=True, viscous=False)
    check_equal(found, one_by_one(batch, 5, leaves(batch, viscous=False), viscous=False), 1e-11)


@pytest.mark.parametrize("tolerance", [None, 1e-13])
@pytest.mark.parametrize("mass_matrix", ["lumped", "consistent"])
def test_an_implicit_rollout_of_bodies_is_that_of_each_as_far_as_newtons_method_goes(mass_matrix, tolerance):
    # One search for all ends when the worst of them is exact enough, and others may be better than alone.
    check_implicit(Newmark, 5, tolerance, dt=1e-2, mass_matrix=mass_matrix)


@pytest.mark.parametrize("tolerance", [None, 1e-13])
def test_the_equilibrium_of_bodies_is_that_of_each_as_far_as_newtons_method_goes(tolerance):
    check_implicit(Equilibrium, 1, tolerance)


def check_implicit(kind: type[Step], num_steps: int, tolerance: float | None, **options) -> None:
    batch = meshes("hex8")
    viscous = kind is not Equilibrium
    options |= {"kind": kind, "newton": NewtonSolver(tolerance=tolerance), "viscous": viscous}
    values, again = (leaves(batch, viscous=viscous) for _ in range(2))
    found = together(batch, num_steps, values, **options)
    # By default forces balance to 1e-6 of what they are before the last iteration.
    check_equal(found, one_by_one(batch, num_steps, again, **options), 1e-7 if tolerance is None else 1e-11)


def test_values_per_body_from_a_network_pass_their_gradients_to_it():
    batch = meshes()
    bodies = Bodies([Body(mesh) for mesh in batch])
    rollout = RolloutModule(step_of(bodies.mesh), 20, compile=False)
    network = torch.nn.Linear(2, 1)
    seen = noise(3, 2)

    def end(values: Tensor) -> State:
        return rollout(bodies.state, bodies.parameters(rollout.step, {E: values}))

    loss(end(1e5 * network(seen).exp())).backward()
    assert all(parameter.grad.abs().min() > 0 for parameter in network.parameters())
    alone = 1e5 * network(seen).detach().exp().squeeze(-1)
    assert torch.equal(end(alone).positions, end(alone[:, None]).positions)


def test_values_of_the_bodies_themselves_are_used_unless_others_are_given():
    bodies = Bodies(
        [Body(mesh, values={"density": 800.0 + i, "gravity": (0, i, 0)}) for i, mesh in enumerate(meshes())]
    )
    step = step_of(bodies.mesh)
    own = bodies.parameters(step)
    cells, vertices = (torch.tensor(counts) for counts in (bodies.cell_counts, bodies.vertex_counts))
    assert torch.equal(own["density"], torch.arange(800.0, 803.0).repeat_interleave(cells))
    assert torch.equal(own["vertex_gravity"][:, 1], torch.arange(3.0).repeat_interleave(vertices))
    assert not own["gravity"].any()
    # By another name of the same quantity.
    given = bodies.parameters(step, {"log_density": torch.zeros(3)})
    assert set(given) == {"log_density", "gravity", "vertex_gravity"}


def test_gravity_of_each_body_comes_on_top_of_what_vertices_have_of_their_own():
    bodies = Bodies([Body(mesh) for mesh in meshes()])
    step = step_of(bodies.mesh)
    step.vertex_gravity = torch.ones(1, 3)
    count = sum(bodies.vertex_counts)
    assert torch.equal(
        bodies.parameters(step, {"gravity": torch.ones(3, 3)})["vertex_gravity"], torch.full((count, 3), 2.0)
    )
    given = bodies.parameters(step, {"gravity": torch.ones(3, 3), "vertex_gravity": torch.zeros(3, 1, 3)})
    assert torch.equal(given["vertex_gravity"], torch.ones(count, 3))


def test_rest_shapes_of_the_bodies_are_those_of_single_rollouts():
    batch = meshes()
    rests = {"rest_positions": [(1 + 0.02 * i) * mesh.vertices for i, mesh in enumerate(batch)]}
    for values in rests.values():
        for row in values:
            row.requires_grad_()
    again = {name: [row.detach().clone().requires_grad_() for row in rows] for name, rows in rests.items()}
    check_equal(together(batch, 10, rests), one_by_one(batch, 10, again), 1e-11)


def test_values_with_an_axis_of_time_are_controls():
    batch = meshes()
    bodies = Bodies([Body(mesh) for mesh in batch])
    step, pulls = step_of(bodies.mesh), 10 * noise(3, 4, 3)
    rollout = RolloutModule(step, 4, compile=False)
    end = rollout(bodies.state, controls=bodies.parameters(step, {"gravity": pulls}))
    for mesh, pull, found in zip(batch, pulls, bodies.split(end), strict=True):
        single = RolloutModule(step_of(mesh), 4, compile=False)
        expected = single(State.at_rest(mesh.vertices), controls={"gravity": pull})
        torch.testing.assert_close(found.positions, expected.positions, rtol=0, atol=1e-14)


def test_states_with_batches_are_joined_and_trajectories_are_split():
    batch = meshes()
    moved = State.at_rest(batch[0].vertices + noise(4, 1, 1))
    bodies = Bodies([Body(batch[0], moved), Body(batch[1]), Body(batch[2])])
    assert bodies.state.positions.shape == (4, sum(bodies.vertex_counts), 3)
    frames = RolloutModule(step_of(bodies.mesh, fixed=None), 4, compile=False).trajectory(bodies.state)
    for mesh, part in zip(batch, bodies.split(frames), strict=True):
        assert part.positions.shape == (5, 4, len(mesh.vertices), 3)
    again = bodies.join(bodies.split(frames))
    assert torch.equal(again.positions, frames.positions)
    step = step_of(bodies.mesh, Newmark)
    started = step(step.start(bodies.state))
    assert torch.equal(bodies.join(bodies.split(started)).history[0], started.history[0])


def test_bodies_meet_an_obstacle_but_not_each_other():
    batch = [meshes()[0]] * 2
    bodies = Bodies([Body(mesh) for mesh in batch])

    def fallen(mesh: Mesh, start: State) -> State:
        contact = BarrierContact(
            mesh, HalfSpace(point=(0, 0, -0.05)), stiffness=1e4, activation_distance=0.02
        )
        forces = {"elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.3)), "contact": contact}
        return RolloutModule(
            SymplecticEuler(mesh, forces, dt=5e-4, gravity=(0, 0, -9.81)), 200, compile=False
        )(start)

    end = fallen(bodies.mesh, bodies.state)
    single = fallen(batch[0], State.at_rest(batch[0].vertices))
    assert float(single.velocities[:, 2].max()) > 0, "it should have bounced"
    for part in bodies.split(end):
        torch.testing.assert_close(part.positions, single.positions, rtol=0, atol=1e-12)


class Recordings(torch.utils.data.Dataset):
    """Bodies with a feature, and a target at each vertex."""

    def __init__(self, batch: list[Mesh]) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return len(self.batch)

    def __getitem__(self, index: int) -> tuple[Body, Tensor, Tensor]:
        mesh = self.batch[index]
        return Body(mesh, values={"density": 900.0 + index}), torch.full((2,), index), mesh.vertices + index


def test_a_data_loader_collates_bodies_with_their_targets():
    batch = [*meshes(), meshes()[1]]
    loader = DataLoader(Recordings(batch), batch_size=3, collate_fn=collate_bodies)
    (bodies, features, targets), (rest, _, last) = loader
    assert (len(bodies), len(rest)) == (3, 1)
    assert torch.equal(torch.stack(features), torch.arange(3)[:, None].expand(3, 2))
    assert [len(target) for target in targets] == bodies.vertex_counts
    assert torch.equal(last[0], batch[3].vertices + 3)
    assert bodies.values == {"density": [900.0, 901.0, 902.0]}
    alone = DataLoader([Body(mesh) for mesh in batch], batch_size=4, collate_fn=Bodies)
    assert [len(found) for found in alone] == [4]


def test_bodies_pass_through_the_pipes_between_processes():
    bodies = Bodies([Body(mesh, values={"density": 900.0}) for mesh in meshes()])
    again = pickle.loads(pickle.dumps(bodies))
    assert torch.equal(again.state.positions, bodies.state.positions)
    assert torch.equal(again.mesh.cells, bodies.mesh.cells)
    assert repr(again) == repr(bodies)


BOX = wavy("tet4", (1, 1, 1))


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("bodies", "error", "message"),
    [
        ([], ValueError, "bodies must hold at least one Body, got none"),
        (Body(BOX), TypeError, "bodies must be a list of them"),
        ([BOX], TypeError, r"bodies\[0\] must be of class Body"),
        ([Body(None)], TypeError, r"bodies\[0\].mesh must be of class Mesh, got None"),
        ([Body(BOX), Body(BOX, BOX.vertices)], TypeError, r"bodies\[1\].state must be of class State"),
        ([Body(BOX, None, 3.0)], TypeError, r"bodies\[0\].values must be of class Mapping"),
        ([Body(BOX), Body(wavy("hex8", (1, 1, 1)))], ValueError, "of one element"),
        (
            [Body(BOX, values={"density": 1.0}), Body(BOX, values={"gravity": 1.0})],
            ValueError,
            "same names, but body 0 has 'density', and body 1 has not",
        ),
        (
            [Body(BOX), Body(BOX, State.at_rest(BOX.vertices[:5]))],
            ValueError,
            r"state of body 1 .*shape \(\*batch, 8, 3\).* positions of shape \(5, 3\)",
        ),
        (
            [Body(BOX), Body(BOX, State(*[BOX.vertices] * 2, (BOX.vertices,)))],
            ValueError,
            "state of body 1 must hold 2 tensors .* got 3",
        ),
        (
            [Body(BOX, State.at_rest(BOX.vertices.expand(n, 8, 3))) for n in (2, 3)],
            ValueError,
            r"batches .* \(2,\), \(3,\)",
        ),
    ],
)
def test_bodies_that_do_not_fit_together_are_named(bodies, error, message):
    with pytest.raises(error, match=message):
        Bodies(bodies)


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        ([], TypeError, r"samples must be tuples \(Body, ...\), got \[\]"),
        ([Body(BOX)], TypeError, r"samples must be tuples \(Body, ...\)"),
        ([(Body(BOX), 1), (Body(BOX),)], ValueError, r"of one length, got lengths \[1, 2\]"),
    ],
)
def test_samples_without_a_body_are_refused(samples, error, message):
    with pytest.raises(error, match=message):
        collate_bodies(samples)


def test_a_step_or_state_of_another_mesh_is_refused():
    box = wavy("tet4", (1, 1, 1))
    bodies = Bodies([Body(box), Body(box)])
    with pytest.raises(ValueError, match="made for a mesh of 8 vertices, not for these bodies of 16"):
        bodies.parameters(step_of(box))
    with pytest.raises(ValueError, match=r"one of all bodies, \(\*batch, 16, 3\), got shape \(8, 3\)"):
        bodies.split(State.at_rest(box.vertices))
    with pytest.raises(ValueError, match="one state for each of 2 bodies, got 1"):
        bodies.join([State.at_rest(box.vertices)])

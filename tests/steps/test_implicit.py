"""Steps whose forces are those at their end."""

import copy
import pickle

import pytest
import torch

from simlayer import (
    BDF2,
    BackwardEuler,
    ConjugateGradients,
    ConvergenceError,
    ElasticForce,
    Force,
    Newmark,
    NewtonSolver,
    NodalLoad,
    Potential,
    Quantity,
    RatePotential,
    RolloutModule,
    SparseDirect,
    StableNeoHookean,
    State,
    SymplecticEuler,
    Term,
    box_mesh,
    check_gradients,
)
from simlayer.steps.incremental_potential import IncrementalPotential

pytestmark = pytest.mark.usefixtures("float64_throughout")

STEPS = [BackwardEuler, Newmark, BDF2]
E = "forces.elastic.material.log_youngs_modulus"
NU = "forces.elastic.material.logit_poissons_ratio"
GRAVITY = (0.0, 0.0, -9.81)


@pytest.fixture(scope="module")
def mesh(float64_throughout):
    return box_mesh(cells=(3, 1, 1), size=(0.09, 0.03, 0.03))


@pytest.fixture(scope="module")
def elastic(mesh):
    return ElasticForce(mesh, StableNeoHookean(torch.full((len(mesh.cells),), 2e4), 0.4))


def beam(mesh, elastic, kind, *, dt, **options):
    defaults = {"density": 1000.0, "gravity": GRAVITY, "fixed": "x_min"}
    return kind(mesh, {"elastic": copy.deepcopy(elastic)}, dt=dt, **(defaults | options))


def moving(mesh):
    """A smooth motion that the clamp allows."""
    x = mesh.vertices[:, :1]
    return State(mesh.vertices, x * torch.tensor([0.0, 0.5, 1.0]))


@pytest.mark.parametrize("kind", STEPS)
def test_free_fall_is_exact_for_steps_of_second_order_and_first_order_otherwise(mesh, elastic, kind):
    h, n = 0.01, 7
    step = beam(mesh, elastic, kind, dt=h, fixed=None)
    z = RolloutModule(step, n)(State.at_rest(mesh.vertices)).positions[:, 2] - mesh.vertices[:, 2]
    parabola = -9.81 * (n * h) ** 2 / 2
    # Backward Euler falls n (n + 1)/2 instead of n²/2 steps squared.
    expected = parabola * (n + 1) / n if kind is BackwardEuler else parabola
    torch.testing.assert_close(z, torch.full_like(z, expected), rtol=1e-9, atol=1e-12)


def after_20_ms(mesh, elastic, kind, steps):
    step = beam(mesh, elastic, kind, dt=0.02 / steps)
    return RolloutModule(step, steps, compile=False)(moving(mesh)).positions


@pytest.fixture(scope="module")
def exact(mesh, elastic):
    """The explicit solution, extrapolated, with an error of 1e-3 of those of the implicit steps."""
    fine, coarse = (after_20_ms(mesh, elastic, SymplecticEuler, steps) for steps in (4000, 2000))
    return 2 * fine - coarse


@pytest.mark.parametrize(("kind", "order"), [(BackwardEuler, 1), (Newmark, 2), (BDF2, 2)])
def test_a_step_converges_with_its_order_to_the_explicit_solution(mesh, elastic, exact, kind, order):
    coarse, fine = ((after_20_ms(mesh, elastic, kind, steps) - exact).norm() for steps in (40, 80))
    # The ratio is 2^order in the limit; a fifth of the exponent is left to what is still far from it.
    assert torch.log2(coarse / fine).item() > 0.8 * order


@pytest.mark.parametrize("kind", STEPS)
def test_gradients_of_several_steps_are_central_differences(mesh, elastic, kind):
    rollout = RolloutModule(beam(mesh, elastic, kind, dt=0.004), 6)
    weights = torch.randn_like(mesh.vertices)
    names = [E, NU, "log_density", "gravity", "positions", "velocities", "prescribed_velocities"]
    names.append("vertex_gravity")
    report = check_gradients(
        rollout, moving(mesh), lambda s: (s.positions * weights).sum(), names, steps=(1e-3, 1e-4)
    )
    assert report.passed, f"\n{report}"


@pytest.mark.parametrize("element", ["tet10", "hex8", "hex20"])
def test_gradients_are_right_on_every_element(element):
    mesh = box_mesh(cells=(2, 1, 1), size=(0.06, 0.03, 0.03), element=element)
    elastic = ElasticForce(mesh, StableNeoHookean(2e4, 0.4))
    rollout = RolloutModule(beam(mesh, elastic, Newmark, dt=0.004), 5)
    weights = torch.randn_like(mesh.vertices)
    report = check_gradients(
        rollout, moving(mesh), lambda s: (s.positions * weights).sum(), [E, NU], steps=(1e-3, 1e-4)
    )
    assert report.passed, f"\n{report}"


@pytest.mark.parametrize("kind", STEPS)
def test_a_batch_is_its_samples_one_by_one_each_with_its_own_modulus(mesh, elastic, kind):
    rollout = RolloutModule(beam(mesh, elastic, kind, dt=0.005), 4)
    moduli = torch.tensor([[1e4], [4e4]]).log()
    together = rollout(moving(mesh), {E: moduli})
    for sample, modulus in enumerate(moduli):
        alone = rollout(moving(mesh), {E: modulus})
        # Newton's method ends at a relative gradient below 1e-6, and polishes.
        torch.testing.assert_close(together.positions[sample], alone.positions, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", STEPS)
def test_steps_and_more_steps_are_all_steps(mesh, elastic, kind):
    step = beam(mesh, elastic, kind, dt=0.005)
    half, whole = RolloutModule(step, 3), RolloutModule(step, 6)
    first = half(moving(mesh))
    assert torch.equal(half(first).positions, whole(moving(mesh)).positions)


@pytest.mark.parametrize("checkpoint", [2, "sqrt"])
def test_checkpointed_gradients_are_plain_ones(mesh, elastic, checkpoint):
    def gradient(checkpoint):
        rollout = RolloutModule(beam(mesh, elastic, Newmark, dt=0.005), 5, checkpoint=checkpoint)
        (parameter,) = rollout.train_only(E)
        rollout(moving(mesh)).positions.square().sum().backward()
        return parameter.grad

    torch.testing.assert_close(gradient(checkpoint), gradient("none"), rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", STEPS)
def test_fixed_vertices_move_as_prescribed(mesh, elastic, kind):
    step = beam(mesh, elastic, kind, dt=0.005, prescribed_velocities=torch.tensor([[0.1, 0.0, 0.02]]))
    end = RolloutModule(step, 4)(State.at_rest(mesh.vertices))
    held = mesh.vertex_sets["x_min"]
    moved = end.positions[held] - mesh.vertices[held]
    torch.testing.assert_close(
        moved, torch.tensor([[0.002, 0.0, 0.0004]]).expand_as(moved), rtol=1e-12, atol=1e-15
    )


def test_newmark_keeps_the_energy_of_a_swinging_beam(mesh, elastic):
    step = beam(mesh, elastic, Newmark, dt=0.001, gravity=(0.0, 0.0, 0.0))
    motion = RolloutModule(step, 200).trajectory(moving(mesh))
    kinetic = 0.5 * (step.vertex_masses[:, None] * motion.velocities.square()).sum((-1, -2))
    energy = kinetic + step.forces["elastic"].energy(motion.positions)
    # Exactly for a linear body; here strains are of a tenth.
    assert float((energy / energy[0] - 1).abs().max()) < 1e-2


@pytest.mark.parametrize("kind", STEPS)
def test_a_free_body_keeps_its_momentum(mesh, elastic, kind):
    step = beam(mesh, elastic, kind, dt=0.005, fixed=None, gravity=(0.0, 0.0, 0.0))
    end = RolloutModule(step, 5)(moving(mesh))
    masses = step.vertex_masses[:, None]
    before, after = ((masses * v).sum(0) for v in (moving(mesh).velocities, end.velocities))
    torch.testing.assert_close(after, before, rtol=0, atol=1e-10 * float(before.abs().max()))


def kept_bytes(rollout, state):
    sizes = {}

    def note(tensor):
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        end = rollout(state)
    return sum(sizes.values()), end


def test_what_backward_keeps_does_not_depend_on_the_number_of_iterations(mesh, elastic):
    def kept(newton, velocity):
        rollout = RolloutModule(beam(mesh, elastic, BackwardEuler, dt=0.005, newton=newton), 1)
        rollout.train_only(E)
        return kept_bytes(rollout, State(mesh.vertices, velocity * mesh.vertices))[0]

    assert kept(NewtonSolver(tolerance=1e-1), 0.0) == kept(NewtonSolver(tolerance=1e-10), 30.0)


def test_solvers_agree_on_the_gradient(mesh, elastic):
    def gradient(solver):
        rollout = RolloutModule(beam(mesh, elastic, Newmark, dt=0.005, solver=solver), 5)
        (parameter,) = rollout.train_only(E)
        rollout(moving(mesh)).positions.square().sum().backward()
        return parameter.grad

    direct, iterative = gradient(SparseDirect()), gradient(ConjugateGradients())
    assert float((direct - iterative).norm() / direct.norm()) < 1e-7


def test_a_step_that_does_not_converge_names_the_step_the_sample_and_its_history(mesh, elastic):
    step = beam(mesh, elastic, BackwardEuler, dt=0.01, newton=NewtonSolver(max_iterations=1))
    velocities = torch.stack([torch.zeros_like(mesh.vertices), 10 * mesh.vertices])
    state = State(mesh.vertices.expand(2, -1, -1), velocities)
    with pytest.raises(ConvergenceError, match=r"in step 1 \(t = 0.01 s\).*sample \(") as error:
        RolloutModule(step, 3)(state)
    assert len(error.value.history) == 2
    assert "smallest J" in str(error.value)


class Springs(Potential):
    """Pulls every vertex back to where it rests, written as an energy alone."""

    def __init__(self, mesh, stiffness):
        super().__init__()
        self.register_buffer("rest", mesh.vertices.clone(), persistent=False)
        self.stiffness = stiffness

    def energy(self, positions):
        return 0.5 * self.stiffness * (positions - self.rest).square().sum((-1, -2))


def test_a_potential_of_ones_own_needs_its_energy_only(mesh, elastic):
    forces = {"elastic": copy.deepcopy(elastic), "springs": Springs(mesh, 5.0)}
    step = BackwardEuler(mesh, forces, dt=0.01, density=1000.0, gravity=GRAVITY, fixed="x_min")
    rollout = RolloutModule(step, 5)
    report = check_gradients(
        rollout, moving(mesh), lambda s: s.positions[:, 2].sum(), [E], steps=(1e-3, 1e-4)
    )
    assert report.passed, f"\n{report}"
    loose = RolloutModule(beam(mesh, elastic, BackwardEuler, dt=0.01), 5)(moving(mesh)).positions
    sag, held_back = (
        mesh.vertices[:, 2].sum() - x[:, 2].sum() for x in (loose, rollout(moving(mesh)).positions)
    )
    assert float(held_back) < float(sag)


class Drag(Force, Term):
    """A force of a user that says itself what it adds to an implicit step: a drag on every vertex."""

    has_term = True
    of_velocities = True
    coefficient = Quantity("N s/m", positive=True)

    def __init__(self):
        super().__init__()
        self.coefficient = 0.05

    def forward(self, state):
        return -self.gradient(state.velocities)

    def term(self, start, predicted):
        return self

    def energy(self, vectors):
        return 0.5 * self.coefficient * vectors.square().sum((-1, -2))

    def gradient(self, vectors):
        return self.coefficient * vectors

    def hessian_product(self, vectors, direction):
        return self.coefficient * direction


class DragByEnergy(RatePotential):
    """The same drag by its dissipation potential alone."""

    def energy(self, positions, velocities):
        return 0.5 * 0.05 * velocities.square().sum((-1, -2))


@pytest.mark.parametrize("kind", STEPS)
def test_a_force_of_ones_own_joins_an_implicit_step_by_its_term(mesh, elastic, kind):
    ends = []
    for drag in (Drag(), DragByEnergy()):
        forces = {"elastic": copy.deepcopy(elastic), "drag": drag}
        step = kind(mesh, forces, dt=0.005, gravity=GRAVITY, fixed="x_min")
        ends.append(RolloutModule(step, 4)(moving(mesh)).positions)
    # Newton's method ends at a relative gradient below 1e-6, and polishes.
    torch.testing.assert_close(*ends, rtol=0, atol=1e-10)
    step = kind(mesh, {"elastic": copy.deepcopy(elastic), "drag": Drag()}, dt=0.005, fixed="x_min")
    weights = torch.randn_like(mesh.vertices)
    report = check_gradients(
        RolloutModule(step, 3),
        moving(mesh),
        lambda end: (end.positions * weights).sum(),
        ["drag.coefficient", "velocities"],
        steps=(1e-3, 1e-4),
    )
    assert report.passed, f"\n{report}"


def test_a_load_pushes_in_an_implicit_step(mesh, elastic):
    forces = {"elastic": copy.deepcopy(elastic), "load": NodalLoad(mesh, torch.tensor([[0.0, 0.0, 0.01]]))}
    step = BackwardEuler(mesh, forces, dt=0.01, fixed=None)
    end = RolloutModule(step, 1)(State.at_rest(mesh.vertices))
    momentum = (step.vertex_masses[:, None] * end.velocities).sum(0)
    torch.testing.assert_close(
        momentum, torch.tensor([0.0, 0.0, 0.01 * 0.01 * len(mesh.vertices)]), rtol=1e-9, atol=1e-12
    )


def test_single_precision_is_close_to_double(mesh, elastic):
    rollout = RolloutModule(beam(mesh, elastic, Newmark, dt=0.005), 5)
    exact = rollout(moving(mesh)).positions
    single = copy.deepcopy(rollout).float()(moving(mesh).to(torch.float32)).positions
    # Forces of a beam this stiff have a relative rounding error of 1e-4 in single precision.
    assert float((single - exact).abs().max()) < 1e-5


def test_a_rollout_of_implicit_steps_copies_and_pickles(mesh, elastic):
    rollout = RolloutModule(beam(mesh, elastic, BDF2, dt=0.005), 2)
    expected = rollout(moving(mesh)).positions
    for twin in (copy.deepcopy(rollout), pickle.loads(pickle.dumps(rollout))):
        assert torch.equal(twin(moving(mesh)).positions, expected)


@pytest.mark.unchecked
@pytest.mark.parametrize("options", [{"newton": 3}, {"solver": "sparse"}, {"solver": SparseDirect}])
def test_solvers_of_another_kind_are_refused(mesh, elastic, options):
    with pytest.raises((TypeError, ValueError), match=f"{next(iter(options))} must be "):
        beam(mesh, elastic, BackwardEuler, dt=0.01, **options)
    ((name, value),) = options.items()
    step = beam(mesh, elastic, BackwardEuler, dt=0.01)
    with pytest.raises(TypeError, match=f"{name} must be "):
        setattr(step, name, value)


def test_a_step_needs_far_fewer_tangents_than_iterations(mesh, elastic, monkeypatch):
    step = beam(mesh, elastic, Newmark, dt=5e-3)
    counts = {"tangent": 0, "evaluate": 0}
    for name in counts:
        original = getattr(IncrementalPotential, name)

        def counted(self, *arguments, original=original, name=name, **options):
            counts[name] += 1
            return original(self, *arguments, **options)

        monkeypatch.setattr(IncrementalPotential, name, counted)
    RolloutModule(step, 10)(moving(mesh))
    assert 10 <= counts["tangent"] < counts["evaluate"] / 2


def test_the_value_and_residual_in_one_pass_are_those_by_themselves(mesh, elastic):
    step = beam(mesh, elastic, Newmark, dt=5e-3)
    problem = step.problem(step._data(step.start(moving(mesh))))
    x = mesh.vertices + 1e-3 * torch.randn_like(mesh.vertices)
    value, residual = problem.evaluate(x)
    torch.testing.assert_close(value, problem.value(x))
    for together, alone in zip(residual, problem.residual(x), strict=True):
        # The forces cancel to a ten-thousandth.
        torch.testing.assert_close(together, alone, rtol=0, atol=1e-10 * float(alone.abs().max()))


@pytest.mark.parametrize("kind", [BackwardEuler, Newmark, BDF2])
@pytest.mark.parametrize("dt", [1e-18, 1e18])
def test_the_shortest_and_the_longest_dt_have_a_scheme_of_finite_numbers(kind, dt):
    step = kind(box_mesh(cells=(1, 1, 1)), {}, dt=dt)
    inertia = torch.tensor([step.scheme.inertia, step.scheme.rate], dtype=torch.float32)
    assert bool((inertia > 0).all() & inertia.isfinite().all())


@pytest.mark.parametrize("kind", STEPS)
def test_a_stiff_body_converges_though_its_energy_is_rounded_by_more_than_it_changes(kind):
    mesh = box_mesh(cells=(3, 1, 1), size=(0.1, 0.03, 0.03))
    stiff = ElasticForce(mesh, StableNeoHookean(1e9, 0.3))
    end = RolloutModule(beam(mesh, stiff, kind, dt=1e-3), 4)(State.at_rest(mesh.vertices))
    sag = float(mesh.vertices[-1, 2] - end.positions[-1, 2])
    # Released from its straight shape it sags at most to twice the static sag, w L⁴ / (8 E I) = 1.6e-6 m.
    assert 0.0 < sag < 3.3e-6


class Doubled(ElasticForce):
    """Twice the elastic energy, by methods of its own."""

    def energy(self, positions):
        return 2 * super().energy(positions)

    def forward(self, state):
        return 2 * super().forward(state)

    def hessian_blocks(self, positions, *, projected=False):
        return 2 * super().hessian_blocks(positions, projected=projected)


def test_the_energy_of_a_subclass_of_the_elastic_force_is_its_own(mesh):
    ends = [
        RolloutModule(beam(mesh, force(mesh, StableNeoHookean(modulus, 0.4)), BackwardEuler, dt=5e-3), 3)(
            moving(mesh)
        ).positions
        for force, modulus in ((Doubled, 2e4), (ElasticForce, 4e4))
    ]
    # Both to the tolerance of Newton's method, relative to motions of some millimetres.
    torch.testing.assert_close(*ends, rtol=0, atol=1e-9)

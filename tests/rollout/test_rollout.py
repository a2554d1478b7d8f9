"""The rollout as a module: trajectories, training, printing, saving, copying, precision."""

import copy
import pickle

import pytest
import torch
from jaxtyping import TypeCheckError
from support.materials import MATERIALS
from support.scenes import (
    DAMPING_NAME,
    E_NAME,
    LOAD_NAME,
    NU_NAME,
    Tether,
    beam,
    free_box,
    moving,
    noise,
    rest,
    same,
)

from simlayer import ElasticForce, RolloutModule, State, SymplecticEuler, box_mesh

# A run with runtime shape checks refuses wrong types before our own messages can.
REFUSED = (ValueError, TypeError, TypeCheckError)
CHECKED = "|Type-check error"

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_steps": 0}, "num_steps must be an int, at least 1, got 0"),
        ({"num_steps": -3}, "num_steps must be an int, at least 1, got -3"),
        ({"compile": ""}, "compiler must be True, False, 'auto' or the name of a backend, got ''"),
        ({"checkpoint": 0}, "checkpoint must be 'auto', 'sqrt', 'none' or a positive int, got 0"),
        ({"checkpoint": -2}, "checkpoint must be .*, got -2"),
        ({"checkpoint": "square"}, "checkpoint must be .*, got 'square'"),
        ({"checkpoint": 2.0}, "checkpoint must be .*, got 2.0"),
    ],
)
def test_a_rollout_refuses_what_it_cannot_be_made_of(options, message):
    with pytest.raises(REFUSED, match=message + CHECKED):
        RolloutModule(beam(), **({"num_steps": 3} | options))


def test_two_rollouts_of_some_steps_equal_one_of_all_bit_by_bit():
    step = beam()
    first, second, both = (RolloutModule(step, n) for n in (7, 5, 12))
    assert same(second(first(moving())), both(moving()))


@pytest.mark.parametrize("every", [1, 2, 3, 7])
def test_a_trajectory_holds_the_start_and_every_so_many_th_state(every):
    step = beam()
    frames = RolloutModule(step, 7).trajectory(moving(), every=every)
    assert frames.positions.shape == frames.velocities.shape == (7 // every + 1, 16, 3)
    assert same(State(frames.positions[0], frames.velocities[0]), moving())
    for k in range(1, 7 // every + 1):
        assert same(
            State(frames.positions[k], frames.velocities[k]), RolloutModule(step, k * every)(moving())
        )


def test_a_trajectory_that_would_hold_the_start_alone_is_refused():
    with pytest.raises(ValueError, match="every must be an int, at least 1 and at most 3, got 4"):
        RolloutModule(beam(), 3).trajectory(moving(), every=4)


def test_a_trajectory_of_a_batch_has_time_first():
    frames = RolloutModule(beam(), 4).trajectory(moving((3, 1, 1), 2, 3), every=2)
    assert frames.positions.shape == (3, 2, 3, 16, 3)


@pytest.mark.parametrize("checkpoint", ["sqrt", 2, 3])
@pytest.mark.parametrize("every", [1, 2, 5])
def test_a_trajectory_is_the_same_with_checkpointing(every, checkpoint):
    step = beam()
    modulus = {E_NAME: torch.tensor(11.5, requires_grad=True)}
    plain = RolloutModule(step, 7, checkpoint="none").trajectory(moving(), modulus, every=every)
    assert same(
        plain, RolloutModule(step, 7, checkpoint=checkpoint).trajectory(moving(), modulus, every=every)
    )


def test_a_trajectory_refuses_frames_less_than_a_step_apart():
    with pytest.raises(ValueError, match="every must be an int, at least 1 and at most 3, got 0"):
        RolloutModule(beam(), 3).trajectory(moving(), every=0)


def test_a_trajectory_carries_its_history():
    step, start = beam(), State(*moving()[:2], (noise(16, 3),))
    step.history_size = 1
    assert RolloutModule(step, 4).trajectory(start, every=2).history[0].shape == (3, 16, 3)


def test_nothing_is_trainable_until_it_is_named():
    rollout = RolloutModule(beam(), 3)
    assert not any(p.requires_grad for p in rollout.parameters())
    assert not rollout(moving()).positions.requires_grad


def test_train_only_frees_the_named_quantities_and_freezes_all_others():
    rollout = RolloutModule(beam(), 3)
    (modulus,) = rollout.train_only(E_NAME)
    assert modulus is rollout.step.forces["elastic"].material.log_youngs_modulus
    assert [n for n, p in rollout.step.named_parameters() if p.requires_grad] == [E_NAME]
    again = rollout.train_only([DAMPING_NAME, "gravity"])
    assert again == [rollout.step.dissipation["damping"].log_coefficient, rollout.step._parameters["gravity"]]
    assert [n for n, p in rollout.step.named_parameters() if p.requires_grad] == ["gravity", DAMPING_NAME]
    assert rollout.train_only([]) == []
    assert not any(p.requires_grad for p in rollout.parameters())


def test_train_only_refuses_an_unknown_name_and_changes_nothing():
    rollout = RolloutModule(beam(), 3)
    rollout.train_only(E_NAME)
    with pytest.raises(KeyError, match="did you mean 'gravity'"):
        rollout.train_only(["log_density", "gravitty"])
    assert [n for n, p in rollout.step.named_parameters() if p.requires_grad] == [E_NAME]


def test_an_optimizer_recovers_the_stiffness_that_made_a_motion():
    step = beam(dt=2e-3)  # so short that the line search may try three times the stiffness
    target = RolloutModule(step, 20)(moving())
    step.forces["elastic"].material.youngs_modulus = 8e4
    rollout = RolloutModule(step, 20)
    optimizer = torch.optim.LBFGS(rollout.train_only(E_NAME), line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = (rollout(moving()).positions - target.positions).square().sum() * 1e4
        loss.backward()
        return loss

    optimizer.step(closure)
    assert float(step.forces["elastic"].material.youngs_modulus.detach()) == pytest.approx(1e5, rel=1e-4)


def test_a_printed_rollout_lists_names_shapes_values_units_and_dt():
    step = beam(youngs_modulus=torch.linspace(1e5, 2e5, 18))
    rollout = RolloutModule(step, 30, checkpoint=5, compile=False)
    rollout.train_only(E_NAME)
    text = str(rollout)
    assert "num_steps = 30, dt = 0.004 s, checkpoint = 5, compile = False" in text
    for line in (
        "  density = 1000 kg/m³, shape (), stored as log_density",
        "  gravity = (1, -2, -9.81) m/s², shape (3,)",
        "  prescribed_velocities = ",
        "  forces.elastic.material.youngs_modulus = 100000 to 200000 Pa, shape (18,)",
        "  forces.elastic.material.poissons_ratio = 0.4, shape ()",
        "  forces.load.forces = ",
        "  dissipation.damping.coefficient = 2 1/s",
    ):
        assert line in text
    assert [line for line in text.splitlines() if "trainable" in line] == [
        line for line in text.splitlines() if "youngs_modulus" in line
    ]


def test_a_printed_step_lists_its_parts_and_their_quantities_and_nothing_internal():
    text = repr(beam())
    for line in (
        "  gravity = (1, -2, -9.81) m/s²",
        "  forces.elastic: ElasticForce",
        "  forces.elastic.material.poissons_ratio = 0.4, shape ()",
        "  dissipation.damping.coefficient = 2 1/s",
    ):
        assert line in text
    assert "Module" not in text


def test_a_saved_rollout_restores_every_quantity_under_its_path():
    rollout = RolloutModule(beam(), 3)
    saved = rollout.state_dict()
    names = {E_NAME, NU_NAME, LOAD_NAME, DAMPING_NAME, "log_density", "prescribed_velocities"}
    names |= {"gravity", "vertex_gravity", "rest_positions"}
    assert set(saved) == {f"step.{name}" for name in names}
    other = RolloutModule(beam(youngs_modulus=3e5, gravity=(0.0, 0.0, 0.0), density=500.0), 3)
    other.load_state_dict(saved)
    assert same(rollout(moving()), other(moving()))


# The compiler leaves traces in whatever it touches, so those that ran compiled are copied too.
@pytest.mark.parametrize("compile", [False, "eager"])
@pytest.mark.parametrize(
    "duplicate", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy], ids=["pickle", "deepcopy"]
)
def test_a_copy_of_a_rollout_that_has_run_runs_alike_and_on_its_own(duplicate, compile):
    rollout = RolloutModule(beam(forces={"tether": Tether(rest(), 30.0)}), 2, compile=compile)
    first = rollout(moving())
    copied = duplicate(rollout)
    assert same(first, copied(moving()))
    copied.step.forces["elastic"].material.youngs_modulus = 2e5
    assert not same(first, copied(moving()))
    assert same(first, rollout(moving()))


def test_a_result_can_be_saved_and_loaded(tmp_path):
    torch.save(RolloutModule(beam(), 2), tmp_path / "rollout.pt")
    again = torch.load(tmp_path / "rollout.pt", weights_only=False)
    assert same(again(moving()), RolloutModule(beam(), 2)(moving()))


@pytest.mark.parametrize("name", ["StableNeoHookean", "MooneyRivlin", "written by a user"])
def test_a_rollout_converted_to_double_precision_computes_in_it(name):
    def build() -> SymplecticEuler:
        mesh = box_mesh(cells=(3, 1, 1), size=(0.3, 0.1, 0.1))
        elastic = ElasticForce(mesh, MATERIALS[name](1e5, 0.4))
        return SymplecticEuler(
            mesh, {"elastic": elastic}, dt=1e-3, gravity=(0.0, 0.0, -9.81), fixed=torch.arange(4)
        )

    reference = RolloutModule(build(), 5)
    torch.set_default_dtype(torch.float32)
    converted = RolloutModule(build(), 5)
    single = converted(State(*(x.float() for x in moving()[:2])))
    converted.to(torch.float64)
    torch.set_default_dtype(torch.float64)
    # What was rounded when it was built is put right; what was traced in single precision must not show.
    sources = {**dict(reference.named_parameters()), **dict(reference.named_buffers())}
    for key, tensor in (*converted.named_parameters(), *converted.named_buffers()):
        tensor.data.copy_(sources[key])
    end, expected = converted(moving()), reference(moving())
    assert single.positions.dtype == torch.float32
    assert end.positions.dtype == torch.float64
    assert torch.allclose(end.positions, expected.positions, rtol=0, atol=1e-15)
    assert torch.allclose(single.positions.double(), expected.positions, rtol=0, atol=1e-6)


def test_a_rollout_that_ran_compiled_can_be_converted():
    rollout = RolloutModule(beam(), 2, compile="eager")
    rollout(moving())
    end = rollout.to(torch.float32)(State(*(x.float() for x in moving()[:2])))
    assert end.positions.dtype == torch.float32


def test_without_gradients_nothing_is_recorded():
    rollout = RolloutModule(beam(), 3)
    rollout.train_only(E_NAME)
    with torch.no_grad():
        end = rollout(moving())
    assert not end.positions.requires_grad
    with torch.inference_mode():
        assert same(rollout(moving()), end)
    assert rollout(moving()).positions.requires_grad


def test_a_potential_traced_in_inference_mode_still_has_gradients_afterwards():
    # Lightning tests and predicts under inference mode, before or between trainings.
    rollout = RolloutModule(beam(forces={"tether": Tether(rest(), 30.0)}), 3)
    with torch.inference_mode():
        inferred = rollout(moving())
    (stiffness,) = rollout.train_only("forces.tether.log_stiffness")
    end = rollout(moving())
    assert same(end, inferred)
    assert float(torch.autograd.grad(end.positions.sum(), stiffness)[0]) != 0


def test_a_potential_reads_a_buffer_that_was_replaced_after_a_run():
    rollout = RolloutModule(beam(forces={"tether": Tether(rest(), 30.0)}), 3)
    rollout(moving())
    rollout.step.forces["tether"].anchors = rest() + 0.1
    fresh = RolloutModule(beam(forces={"tether": Tether(rest() + 0.1, 30.0)}), 3)
    assert torch.allclose(rollout(moving()).positions, fresh(moving()).positions, rtol=0, atol=1e-14)


@pytest.mark.parametrize("checkpoint", ["none", "sqrt"])
def test_autocast_around_a_rollout_changes_nothing(checkpoint):
    rollout = RolloutModule(beam(), 5, checkpoint=checkpoint)
    modulus = torch.tensor(11.5, requires_grad=True)

    def gradient() -> tuple[State, torch.Tensor]:
        end = rollout(moving(), {E_NAME: modulus})
        return end, torch.autograd.grad(end.positions.square().sum(), modulus)[0]

    plain, slope = gradient()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside, slope_inside = gradient()
    assert same(plain, inside)
    assert torch.equal(slope, slope_inside)


def test_double_and_single_precision_agree_to_single_precision():
    double = RolloutModule(beam(), 20)(moving())
    torch.set_default_dtype(torch.float32)
    single = RolloutModule(beam(), 20)(moving())
    # Forty substeps of rounding 6e-8 of a body 0.3 m long.
    assert torch.allclose(single.positions.double(), double.positions, rtol=0, atol=5e-6)


@pytest.mark.parametrize(("budget", "runs"), [(2**30, 1), (10_000, 3)])
def test_checkpointing_by_itself_comes_with_the_memory_budget(budget, runs):
    step, calls = beam(), []
    step.forces["load"].register_forward_hook(lambda *_: calls.append(None))
    modulus = torch.tensor(11.5, requires_grad=True)
    end = RolloutModule(step, 9, checkpoint="auto", memory_budget=budget)(moving(), {E_NAME: modulus})
    end.positions.sum().backward()
    # One more substep measures what one keeps.
    assert len(calls) == runs * 9 * step.substeps + 1


@pytest.mark.parametrize(("factor", "backend"), [(1, "inductor"), (0.99, None)])
def test_compiling_by_itself_comes_with_the_work(monkeypatch, factor, backend):
    import simlayer.rollout.rollout

    chosen = []
    real = simlayer.rollout.rollout.advance_function

    def spy(step, inputs, start, backend, **options):
        chosen.append(backend)
        return real(step, inputs, start, None, **options)

    monkeypatch.setattr(simlayer.rollout.rollout, "advance_function", spy)
    monkeypatch.setattr(simlayer.rollout.rollout, "compiler_missing", lambda: False)
    monkeypatch.setattr(simlayer.rollout.rollout, "COMPILE_FROM", 5 * 2 * 18 * 4 / factor)
    RolloutModule(beam(), 5)(moving((3, 1, 1), 4))
    assert chosen == [backend]


def test_a_machine_without_a_compiler_runs_eagerly_with_one_warning(monkeypatch):
    import simlayer.rollout.compilation

    simlayer.rollout.compilation.compiler_missing.cache_clear()
    monkeypatch.setattr(simlayer.rollout.compilation.shutil, "which", lambda name: None)
    rollout = RolloutModule(beam(), 2, compile=True)
    try:
        with pytest.warns(
            UserWarning, match=r"No C\+\+ compiler was found.*compile=False silences"
        ) as caught:
            first = rollout(moving())
        assert len(caught) == 1
        assert same(first, rollout(moving()))  # a second warning would be an error
    finally:
        simlayer.rollout.compilation.compiler_missing.cache_clear()
    assert same(first, RolloutModule(rollout.step, 2, compile=False)(moving()))


def test_a_step_can_be_collected_after_it_has_run_compiled():
    import gc
    import weakref

    rollout = RolloutModule(free_box((1, 1, 1)), 2, compile="eager")
    rollout(moving((1, 1, 1)))
    gone = weakref.ref(rollout.step)
    del rollout
    gc.collect()
    assert gone() is None

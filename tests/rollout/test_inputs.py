"""What a rollout may be given: shapes and names, and what it says of wrong ones."""

import pytest
import torch
from support.scenes import E_NAME, LOAD_NAME, NU_NAME, Wind, beam, moving, noise, same

from simlayer import RolloutModule, State

pytestmark = pytest.mark.usefixtures("float64")

# A run with runtime shape checks refuses wrong shapes and types before our own messages can.
CHECKED = "|Type-check error"
N, M, T = 16, 18, 3


@pytest.fixture
def rollout():
    return RolloutModule(beam(), T)


def one_by_one(rollout: RolloutModule, state: State, batch: tuple[int, ...], named) -> State:
    """The same batch as a loop, every input expanded by hand."""
    own = {E_NAME: 1, NU_NAME: 1, LOAD_NAME: 2, "gravity": 1, "log_density": 1}
    full = {n: t.expand(*batch, *t.shape[t.ndim - own[n] :]) for n, t in named.items()}
    positions, velocities = (x.expand(*batch, N, 3).reshape(-1, N, 3) for x in state[:2])
    ends = []
    for b in range(len(positions)):
        sample = {n: t.reshape(-1, *t.shape[len(batch) :])[b] for n, t in full.items()}
        ends.append(rollout(State(positions[b], velocities[b]), sample))
    return State(
        *(torch.stack(list(x)).reshape(*batch, N, 3) for x in zip(*(e[:2] for e in ends), strict=True))
    )


@pytest.mark.parametrize(
    ("shape", "batch"),
    [
        ((), ()),
        ((1,), ()),
        ((M,), ()),
        ((2, 1), (2,)),
        ((2, M), (2,)),
        ((3, 2, 1), (3, 2)),
        ((3, 2, M), (3, 2)),
    ],
)
@pytest.mark.parametrize("state_batch", [(), (2,), (3, 1)])
def test_a_quantity_of_any_shape_meets_a_state_of_any_batch(rollout, shape, batch, state_batch):
    state = moving((3, 1, 1), *state_batch)
    moduli = 11.5 + 0.1 * noise(*shape, seed=5)
    together = rollout(state, {E_NAME: moduli})
    expected = torch.broadcast_shapes(batch, state_batch)
    assert together.positions.shape == together.velocities.shape == (*expected, N, 3)
    if expected:
        alone = one_by_one(rollout, state, expected, {E_NAME: moduli})
        # Batched sums may be in another order.
        assert torch.allclose(together.positions, alone.positions, rtol=0, atol=1e-14)
        assert torch.allclose(together.velocities, alone.velocities, rtol=0, atol=1e-12)


def test_batches_of_several_quantities_broadcast_against_each_other(rollout):
    named = {
        E_NAME: 11.5 + 0.1 * noise(2, 1, M),
        NU_NAME: 1.5 + 0.1 * noise(3, 1),
        LOAD_NAME: noise(2, 1, 1, 3),
        "gravity": noise(3, 3),
        "log_density": 7 + 0.1 * noise(2, 3, M),
    }
    together = rollout(moving(), named)
    alone = one_by_one(rollout, moving(), (2, 3), named)
    assert together.positions.shape == (2, 3, N, 3)
    assert torch.allclose(together.positions, alone.positions, rtol=0, atol=1e-14)


def test_batched_velocities_and_one_set_of_positions_make_a_batch(rollout):
    state = State(moving().positions, moving((3, 1, 1), 4).velocities)
    assert rollout(state).positions.shape == (4, N, 3)


def test_quantities_that_a_step_owns_may_be_a_batch():
    moduli = torch.tensor([[1e5], [2e5]])
    owned = RolloutModule(beam(youngs_modulus=moduli), T)(moving())
    supplied = RolloutModule(beam(), T)(moving(), {E_NAME: moduli.log()})
    assert same(owned, supplied)


def test_views_of_any_memory_layout_give_the_same_result(rollout):
    state = moving((3, 1, 1), 2)
    strided = State(*(x.permute(2, 0, 1).contiguous().permute(1, 2, 0) for x in state[:2]))
    assert not strided.positions.is_contiguous()
    assert same(rollout(state), rollout(strided))


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("forces.elastic.material.log_youngs_modulas", E_NAME),
        ("forces.elastic.material.youngs_module", "forces.elastic.material.youngs_modulus"),
        ("gravitation", "gravity"),
    ],
)
@pytest.mark.parametrize("kind", ["parameters", "controls"])
def test_a_misspelt_name_suggests_the_nearest(rollout, name, nearest, kind):
    with pytest.raises(KeyError, match=rf"no quantity is named '{name}'; did you mean '{nearest}'\?"):
        rollout(moving(), **{kind: {name: torch.zeros(T, 1)}})


def test_a_name_like_no_other_lists_all(rollout):
    with pytest.raises(KeyError, match=rf"'zzz'; there are .*'gravity'.*{E_NAME}"):
        rollout(moving(), {"zzz": torch.zeros(1)})


def test_a_name_in_parameters_and_in_controls_is_refused(rollout):
    with pytest.raises(ValueError, match="'gravity' is given in parameters and in controls; give it in one"):
        rollout(moving(), {"gravity": torch.zeros(3)}, {"gravity": torch.zeros(T, 3)})


@pytest.mark.parametrize(
    ("physical", "stored"),
    [
        ("forces.elastic.material.youngs_modulus", E_NAME),
        ("forces.elastic.material.poissons_ratio", NU_NAME),
        ("density", "log_density"),
    ],
)
@pytest.mark.parametrize("shape", [(), (1,), (M,), (2, 1), (2, M)])
def test_a_physical_value_is_the_stored_one_decoded_with_its_gradient(rollout, physical, stored, shape):
    own = dict(rollout.step.named_parameters())[stored]
    given = (own + 0.1 * noise(*shape, seed=5)).requires_grad_()
    value = {E_NAME: torch.exp, NU_NAME: lambda x: 1.5 * x.sigmoid() - 1, "log_density": torch.exp}[stored](
        given
    )
    by_stored, by_physical = rollout(moving(), {stored: given}), rollout(moving(), {physical: value})
    assert torch.allclose(by_stored.positions, by_physical.positions, rtol=0, atol=1e-15)
    slopes = [
        torch.autograd.grad(s.positions.square().sum(), given, retain_graph=True)[0]
        for s in (by_stored, by_physical)
    ]
    assert torch.allclose(*slopes, rtol=1e-9, atol=0)


@pytest.mark.parametrize("kind", ["parameters", "controls"])
def test_the_end_of_a_name_is_enough_where_it_is_the_only_one(rollout, kind):
    value = torch.full((T, 1) if kind == "controls" else (1,), 2e5)
    full = rollout(moving(), **{kind: {"forces.elastic.material.youngs_modulus": value}})
    for name in ("youngs_modulus", "material.youngs_modulus"):
        assert same(rollout(moving(), **{kind: {name: value}}), full)


@pytest.mark.parametrize(
    ("name", "value"), [("youngs_modulus", -1.0), ("poissons_ratio", 0.6), ("density", 0.0)]
)
def test_a_physical_value_out_of_its_range_is_refused_by_name(rollout, name, value):
    with pytest.raises(ValueError, match=rf"{name} must .*, got {value:g}"):
        rollout(moving(), {name: torch.tensor([[1e-1], [value]])})


@pytest.mark.unchecked
@pytest.mark.parametrize("argument", ["parameters", "controls"])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stiffness": torch.ones(T, 1)}, "no quantity is named 'stiffness'"),
        ({"": torch.ones(T, 1)}, "no quantity is named ''"),
        ({1: torch.ones(T, 1)}, "the name of a quantity must be a text, got 1"),
        ({"gravity": None}, "gravity must be a tensor, got None"),
        (
            {"gravity": torch.ones(T, 3, dtype=torch.float64).to_sparse()},
            "gravity must be a plain tensor .* sparse",
        ),
        ({"gravity": torch.ones(T, 3, dtype=torch.float16)}, "gravity is torch.float16"),
    ],
)
def test_what_is_wrong_is_named_with_the_argument_that_holds_it(rollout, argument, values, message):
    with pytest.raises((KeyError, TypeError, ValueError), match=f"{argument}: {message}"):
        rollout(moving(), **{argument: values})


def test_a_control_without_axes_of_its_own_is_refused_by_its_whole_shape(rollout):
    with pytest.raises(ValueError, match=r"gravity has shape \(3,\); .* expected \(3, \*batch, 3\)"):
        rollout(moving(), controls={"gravity": torch.zeros(T)})


def test_a_quantity_is_given_once(rollout):
    both = {"youngs_modulus": torch.tensor([1e5]), E_NAME: torch.tensor([11.0])}
    with pytest.raises(ValueError, match=rf"youngs_modulus' is given twice, the second time as '{E_NAME}'"):
        rollout(moving(), both)
    with pytest.raises(ValueError, match="youngs_modulus' is given in parameters and in controls"):
        rollout(moving(), {"youngs_modulus": torch.tensor([1e5])}, {E_NAME: torch.full((T, 1), 11.0)})


def test_another_dtype_is_refused_with_both_named_and_the_remedy(rollout):
    single = State(moving().positions.float(), moving().velocities)
    with pytest.raises(
        TypeError, match=r"positions is torch.float32 but .* torch.float64.*rollout.to\(.*float32\)"
    ):
        rollout(single)
    with pytest.raises(TypeError, match=rf"{E_NAME} is torch.float32 but .*torch.float64; convert one"):
        rollout(moving(), {E_NAME: torch.tensor([11.0], dtype=torch.float32)})


def test_another_device_is_refused_with_both_named_and_the_remedy(rollout):
    elsewhere = State(moving().positions, moving().velocities.to("meta"))
    message = r" is on meta but the rollout is on cpu; move one: rollout.to\('meta'\) or "
    with pytest.raises(TypeError, match="velocities" + message):
        rollout(elsewhere)
    with pytest.raises(TypeError, match="gravity" + message):
        rollout(moving(), {"gravity": torch.zeros(3, device="meta")})


def test_what_is_no_tensor_is_refused(rollout):
    with pytest.raises(TypeError, match=f"{E_NAME} must be a tensor, got float" + CHECKED):
        rollout(moving(), {E_NAME: 11.5})


@pytest.mark.parametrize("shape", [(15, 3), (N, 2), (3,), (2, N, 1)])
def test_a_state_of_another_mesh_is_refused(rollout, shape):
    state = State(torch.zeros(shape), torch.zeros(shape))
    with pytest.raises(ValueError, match=r"positions has shape .*\(\*batch, 16, 3\)"):
        rollout(state)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        (
            E_NAME,
            (2,),
            r"has shape \(2,\).*\(\*batch, 1\) or \(\*batch, 18\).*one value per sample is shape \(2, 1\)",
        ),
        (E_NAME, (3, N), r"has shape \(3, 16\)"),
        ("gravity", (2,), r"has shape \(2,\).*expected \(\*batch, 3\)"),
        (LOAD_NAME, (N, 2), r"has shape \(16, 2\).*expected \(\*batch, 16, 3\) or \(\*batch, 1, 3\)"),
        (LOAD_NAME, (3,), r"has shape \(3,\)"),
    ],
)
def test_a_quantity_with_another_last_axis_is_refused(rollout, name, shape, message):
    with pytest.raises(ValueError, match=name + " " + message):
        rollout(moving(), {name: torch.zeros(shape)})


def test_batches_that_do_not_broadcast_are_refused_by_name(rollout):
    state = moving((3, 1, 1), 4)
    with pytest.raises(ValueError, match=rf"{E_NAME} \(3,\).*positions \(4,\), velocities \(4,\)") as caught:
        rollout(state, {E_NAME: torch.full((3, 1), 11.0)})
    assert "gravity" not in str(caught.value), "only what is a batch is a culprit"


@pytest.mark.parametrize("shape", [(), (T + 1, 3), (1, 3)])
def test_a_control_of_another_duration_is_refused(rollout, shape):
    with pytest.raises(ValueError, match=rf"control 'gravity' has shape .*its first axis is time: {T} steps"):
        rollout(moving(), controls={"gravity": torch.zeros(shape)})


def test_controls_equal_a_loop_of_single_steps_with_parameters_changed_each_step():
    rollout, single = RolloutModule(beam(), 6), RolloutModule(beam(), 1)
    controls = {
        E_NAME: 11.5 + 0.2 * noise(6, M),
        "log_density": 7 + 0.1 * noise(6, 1),
        "prescribed_velocities": noise(6, N, 3),
        LOAD_NAME: noise(6, 1, 3),
    }
    state = moving()
    for t in range(6):
        state = single(state, {name: control[t] for name, control in controls.items()})
    assert same(rollout(moving(), controls=controls), state)


def test_a_control_may_be_a_batch_and_meets_batched_parameters():
    rollout = RolloutModule(beam(), T)
    controls, moduli = noise(T, 2, 1, 3), 11.5 + 0.1 * noise(3, 1)
    together = rollout(moving(), {E_NAME: moduli}, {"gravity": controls})
    assert together.positions.shape == (2, 3, N, 3)
    for i in range(2):
        for j in range(3):
            alone = rollout(moving(), {E_NAME: moduli[j]}, {"gravity": controls[:, i, 0]})
            assert torch.allclose(together.positions[i, j], alone.positions, rtol=0, atol=1e-14)


def test_a_batch_as_long_as_the_rollout_is_not_taken_for_time(rollout):
    batch = noise(T, 3)
    assert rollout(moving(), {"gravity": batch}).positions.shape == (T, N, 3)
    assert rollout(moving(), controls={"gravity": batch}).positions.shape == (N, 3)


def test_density_as_a_control_changes_the_masses_during_the_rollout():
    # A body without stiffness, pushed: a = F/m with the mass of each moment.
    step = beam(dissipation={}, gravity=(0.0, 0.0, 0.0), fixed=None, dt=1e-3, substeps=1)
    del step.forces["elastic"]
    densities = torch.tensor([500.0, 1000.0, 4000.0])
    start = State.at_rest(moving().positions)
    end = RolloutModule(step, T)(start, controls={"log_density": densities.log()[:, None]})
    inverse_masses = step.inverse_masses * (1000.0 / densities).sum()
    expected = 1e-3 * step.forces["load"].forces * inverse_masses[:, None]
    assert torch.allclose(end.velocities, expected, rtol=1e-12)


def test_weights_of_a_force_are_supplied_by_name_and_are_no_batch():
    rollout = RolloutModule(beam(forces={"wind": Wind(0.0)}), T)
    without, given = rollout(moving()), rollout(moving(), {"forces.wind.gain": torch.tensor(2.0)})
    assert given.positions.shape == (N, 3)
    assert not same(without, given)
    assert same(given, RolloutModule(beam(forces={"wind": Wind(2.0)}), T)(moving()))
    controlled = rollout(moving(), controls={"forces.wind.gain": torch.full((T,), 2.0)})
    assert same(given, controlled)


def test_a_call_leaves_the_quantities_of_the_step_as_they_were(rollout):
    before = {name: parameter.clone() for name, parameter in rollout.named_parameters()}
    first = rollout(moving())
    rollout(moving(), {E_NAME: torch.tensor([[10.0], [11.0]])}, {"gravity": noise(T, 3)})
    assert all(torch.equal(before[name], p) for name, p in rollout.named_parameters())
    assert same(first, rollout(moving()))


def test_a_call_that_fails_leaves_the_quantities_of_the_step_as_they_were(rollout):
    first = rollout(moving())
    broken = torch.full((1,), 11.5).expand(2, 1).clone()
    state = State(moving().positions * float("nan"), moving().velocities)
    with pytest.raises(RuntimeError, match="not finite"):
        rollout(state, {E_NAME: broken})
    assert same(first, rollout(moving()))


def test_quantities_that_do_not_fit_each_other_are_refused_by_name(rollout):
    values = {"youngs_modulus": torch.full((2, 1), 1e5), "poissons_ratio": torch.full((3, 1), 0.3)}
    with pytest.raises(ValueError, match=r"youngs_modulus \(2,\).*poissons_ratio \(3,\)"):
        rollout(moving(), values)
    with pytest.raises(ValueError, match=r"density has shape \(2, 5\)"):
        rollout(moving(), {"density": torch.full((2, 5), 1e3)})

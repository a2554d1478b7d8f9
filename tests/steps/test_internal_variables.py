"""Internal variables of forces in every step: gradients, batches, continuation, and refusals."""

import pytest
import torch

from simlayer import (
    BDF2,
    BackwardEuler,
    Equilibrium,
    Newmark,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    ViscoelasticForce,
    box_mesh,
    check_gradients,
    parameter_jacobian,
    readouts,
)

pytestmark = pytest.mark.usefixtures("float64")

STEPS = [SymplecticEuler, BackwardEuler, BDF2, Newmark, Equilibrium]
every_step = pytest.mark.parametrize("kind", STEPS)
NAMES = ["terms.0.ratio", "terms.1.relaxation_time", "youngs_modulus"]


def made(kind, count=6, element="tet4", **options):
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1), element=element)
    force = ViscoelasticForce(
        mesh, StableNeoHookean(1e5, 0.3), ratios=(0.5, 0.25), relaxation_times=(0.01, 0.1)
    )
    dt = 1e-3 if kind is SymplecticEuler else 5e-3
    left = mesh.vertices[:, 0] < 1e-9
    step = kind(mesh, {"elastic": force}, dt=dt, gravity=(0.0, 0.0, -9.81), fixed=left)
    return RolloutModule(step, count, **options), State.at_rest(mesh.vertices)


@every_step
def test_gradients_are_those_of_finite_differences(kind):
    rollout, start = made(kind)

    def loss(end):
        return (end.positions - start.positions).square().sum() + 1e-12 * end.history[-1].square().sum()

    assert check_gradients(rollout, start, loss, NAMES).passed


@every_step
def test_forward_mode_agrees_with_backward(kind):
    rollout, start = made(kind)
    parameters = {
        n: torch.tensor([v], requires_grad=True) for n, v in zip(NAMES, (0.5, 0.1, 1e5), strict=True)
    }
    _, columns = parameter_jacobian(lambda: rollout(start, parameters).positions, parameters)
    weights = torch.randn(start.positions.shape)
    loss = (weights * rollout(start, parameters).positions).sum()
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    for name, gradient in zip(NAMES, gradients, strict=True):
        along = (weights * columns[name].view(*weights.shape)).sum()
        assert torch.allclose(along, gradient.squeeze(), rtol=1e-8)


@pytest.mark.parametrize("options", [{"checkpoint": "sqrt"}, {"checkpoint": 2}, {"compile": "aot_eager"}])
def test_checkpointed_and_compiled_rollouts_have_the_same_values_and_gradients(options):
    results = []
    for each in ({"checkpoint": "none", "compile": False}, options):
        rollout, start = made(SymplecticEuler, 7, **each)
        parameters = rollout.train_only(NAMES)
        end = rollout(start)
        gradients = torch.autograd.grad(end.positions.square().sum(), parameters)
        results.append([end.positions.detach(), *end.history, *gradients])
    for first, second in zip(*results, strict=True):
        assert torch.allclose(first, second, rtol=1e-10)


@every_step
def test_some_steps_and_some_more_are_all_of_them_to_the_last_bit(kind):
    (rollout, start), (half, _) = made(kind, 6), made(kind, 3)
    whole, parts = rollout(start), half(half(start))
    assert torch.equal(whole.positions, parts.positions)
    assert all(map(torch.equal, whole.history, parts.history))


@every_step
def test_a_batch_of_series_is_its_samples_one_by_one(kind):
    rollout, start = made(kind, 4)
    ratios = torch.tensor([[0.1], [0.5], [2.0]])
    together = rollout(start, {"terms.0.ratio": ratios})
    for k in range(3):
        alone = rollout(start, {"terms.0.ratio": ratios[k]})
        assert torch.allclose(together.positions[k], alone.positions, rtol=1e-9)
        assert torch.allclose(together.history[-1][k], alone.history[-1], rtol=1e-6, atol=1e-3)


def test_a_step_that_is_called_by_itself_carries_them_too():
    rollout, start = made(Newmark, 2)
    step = rollout.step
    end = step(step(step.start(start)))
    assert torch.allclose(end.positions, rollout(start).positions, rtol=1e-12)


@pytest.mark.parametrize("kind", [SymplecticEuler, BackwardEuler, BDF2, Newmark])
def test_a_motion_that_starts_from_a_long_rest_under_its_weight_stays_there(kind):
    held, start = made(Equilibrium, 1)
    held.step.dt = 1e6
    rest = held(start)
    rollout, _ = made(kind, 20)
    moved = rollout(State(rest.positions, torch.zeros_like(rest.positions), rest.history))
    sag = (rest.positions - start.positions).abs().max()
    assert float((moved.positions - rest.positions).abs().max()) < 1e-5 * float(sag)


def test_second_order_steps_stay_second_order():
    ends = []
    for count in (20, 40, 80):
        rollout, start = made(Newmark, count)
        rollout.step.dt = 0.05 / count
        ends.append(rollout(start).positions)
    ratio = (ends[0] - ends[1]).norm() / (ends[1] - ends[2]).norm()
    assert 3.5 < float(ratio) < 4.6


def test_readouts_see_the_relaxed_stresses_of_every_frame():
    rollout, start = made(BackwardEuler, 5, element="hex8")
    frames = rollout.trajectory(start)
    stresses = readouts.cauchy_stress(rollout, frames)
    last = readouts.cauchy_stress(
        rollout, State(*(x[-1] for x in frames[:2]), tuple(h[-1] for h in frames.history))
    )
    assert torch.allclose(stresses[-1], last, rtol=1e-10)
    forgotten = readouts.cauchy_stress(rollout, State(*frames[:2]))
    assert not torch.allclose(stresses[-1], forgotten[-1], rtol=0.05)


def test_the_energy_balance_counts_a_viscoelastic_force_as_work():
    rollout, start = made(Newmark, 40)
    balance = readouts.energy_balance(rollout, start)
    assert "elastic" not in balance.energies.potentials
    # Its work is that of the mean of both ends, which is what Newmark's step does in a linear motion.
    assert float(balance.residual.abs().max()) < 1e-3 * float(balance.energies.kinetic.max())


def test_a_history_of_another_step_is_refused():
    rollout, start = made(Newmark)
    with pytest.raises(ValueError, match="history of 4 tensors from another kind of step, Newmark keeps 2"):
        rollout(start._replace(history=(start.positions,) * 4))
    with pytest.raises(ValueError, match=r"history\[1\] has shape \(3, 3\)"):
        rollout(start._replace(history=(start.positions, start.positions[:3])))

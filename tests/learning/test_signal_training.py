"""Training periodic signals: each by its own gradient, from where the last period ended."""

import lightning
import pytest
import torch
from support.arms import NAMES, arm, steered_arm
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from simlayer import ObservationError, RolloutModule, State
from simlayer.learning import ControlGroups, LearningCurve, SignalTraining, Travel

pytestmark = [
    pytest.mark.usefixtures("float64"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
]


def training(**options):
    step, start, _ = arm()
    rollout = RolloutModule(step, 20, compile=False)
    given = {"knots": 4, "candidates": 3, "periods": 2, "scale": 0.01, **options}
    return SignalTraining(rollout, start, ControlGroups(step, NAMES), Travel((0.0, 0.0, 1.0)), **given)


def test_a_signal_goes_through_its_knots_and_ends_where_it_began():
    model = training()
    values = model.signal()
    assert list(values) == ["forces.upper.logit_activation", "forces.lower.logit_activation"]
    for column, signal in enumerate(values.values()):
        assert signal.shape == (20, 3, 1)
        torch.testing.assert_close(signal[::5, :, 0], model.knots[:, :, column])
        # Linear from the last knot back to the first.
        torch.testing.assert_close(
            signal[19, :, 0], 0.2 * model.knots[-1, :, column] + 0.8 * model.knots[0, :, column]
        )


def test_signals_start_about_the_values_that_the_step_has():
    model = training(candidates=4000, spread=0.3)
    torch.testing.assert_close(model.knots.mean(), torch.tensor(0.0), rtol=0, atol=5e-3)
    torch.testing.assert_close(model.knots.std(), torch.tensor(0.3), rtol=2e-2, atol=0)
    assert torch.equal(training(seed=5).knots, training(seed=5).knots)
    assert not torch.equal(training(seed=5).knots, training(seed=6).knots)


def test_a_motion_is_one_period_after_the_other():
    model = training()
    motion = model.motion(2)
    assert motion.positions.shape[:2] == (3, 3)
    twice = {name: torch.cat([signal, signal]) for name, signal in model.signal().items()}
    start = model.start()
    end = RolloutModule(model.rollout.step, 40, compile=False)(start, controls=twice)
    torch.testing.assert_close(motion.positions[2], end.positions, rtol=1e-12, atol=1e-14)


def fitted(model, epochs=1, steps=1):
    curve = LearningCurve("objective")
    lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[curve],
        num_sanity_val_steps=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(model, DataLoader(TensorDataset(torch.zeros(steps, 1))), DataLoader(torch.zeros(1, 1)))
    return curve


def test_a_period_goes_on_from_where_the_last_one_ended():
    model = training(optimizer=lambda p: torch.optim.SGD(p, lr=0.0))
    expected = model.motion(3)
    fitted(model, steps=3)
    torch.testing.assert_close(model.now_positions, expected.positions[-1])
    torch.testing.assert_close(model.now_velocities, expected.velocities[-1])
    assert {"now_positions", "now_velocities", "knots"} <= model.state_dict().keys()


def test_each_signal_follows_its_own_gradient_and_no_longer_than_allowed():
    model = training(max_norm=1e-3, optimizer=lambda p: torch.optim.SGD(p, lr=1.0))
    before = model.knots.detach().clone()
    objective = model.objectives(State(*(torch.stack(pair) for pair in zip(*_ends(model), strict=True))))
    (gradient,) = torch.autograd.grad(objective.sum() / 0.01, model.knots)
    fitted(model)
    moved = before - model.knots.detach()
    lengths = gradient.norm(dim=(0, 2))
    assert bool((lengths > 1e-3).all())
    torch.testing.assert_close(moved, gradient / lengths[:, None] * 1e-3, rtol=1e-4, atol=1e-12)


def _ends(model):
    start = model.start()
    return start[:2], model.rollout(start, controls=model.signal())[:2]


def test_the_loss_is_that_of_the_best_signal_and_becomes_less():
    model = training()
    curve = fitted(model, epochs=4, steps=2)
    assert min(row["loss"] for row in curve.rows[1:]) < curve.rows[0]["loss"]
    curve.load_best(model)
    best = model.objectives(model.motion(2)).min()
    assert float(best.detach()) == pytest.approx(min(curve.series("objective")), rel=1e-9)


class _Wrong(nn.Module):
    def forward(self, motion):
        return motion.positions.sum()


def test_what_does_not_fit_is_refused():
    step, start, _ = arm()
    controls, rollout = ControlGroups(step, NAMES), RolloutModule(step, 5, compile=False)
    with pytest.raises(ValueError, match="rollout must be without a policy"):
        SignalTraining(steered_arm()[0], start, controls, Travel(), knots=3)
    with pytest.raises(ObservationError, match=r"state must be that of every sample, \(N, 3\)"):
        SignalTraining(rollout, State(*(x[None] for x in start[:2])), controls, Travel(), knots=3)
    with pytest.raises(ValueError, match="knots must be"):
        SignalTraining(rollout, start, controls, Travel(), knots=1)
    wrong = SignalTraining(rollout, start, controls, _Wrong(), knots=3)
    with pytest.raises(ObservationError, match=r"objective \(_Wrong\) must return a number per body"):
        wrong.objectives(wrong.motion(1))

"""Training a policy by Lightning: the loss is the objective of a rollout, and becomes less."""

import lightning
import pytest
import torch
from support.arms import arm, steered_arm
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from simlayer import ObservationError, RolloutModule, State
from simlayer.learning import DistanceToGoal, LearningCurve, PolicyTraining, Travel

pytestmark = [
    pytest.mark.usefixtures("float64"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
]

GOALS = torch.tensor(
    [[0.088, 0.015, 0.022], [0.088, 0.015, 0.008], [0.086, 0.015, 0.019], [0.087, 0.015, 0.011]]
)


def training(**options):
    rollout, start, tip = steered_arm()
    rollout.policy.standardize(GOALS)
    return PolicyTraining(rollout, start, DistanceToGoal(tip), scale=0.01, **options)


def trainer(**options):
    return lightning.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def test_the_objective_is_that_of_a_rollout_with_these_inputs():
    model = training(every=5)
    frames = model(GOALS)
    assert frames.positions.shape[:2] == (13, 4)
    start = State(model.positions.expand(4, -1, -1), model.velocities.expand(4, -1, -1))
    expected = model.rollout.trajectory(start, policy_inputs=(GOALS,), every=5)
    assert torch.equal(frames.positions, expected.positions)
    assert torch.equal(model.objectives(GOALS), model.objective(expected, GOALS))


def test_a_policy_comes_nearer_to_goals_by_training():
    torch.manual_seed(0)
    model, curve = training(), LearningCurve("objective")
    loader = DataLoader(TensorDataset(GOALS), 4)
    trainer(max_epochs=12, callbacks=[curve], num_sanity_val_steps=-1).fit(model, loader, loader)
    losses = [row["loss"] for row in curve.rows]
    assert len(losses) == 13
    assert losses[0] == pytest.approx(100 * curve.series("objective")[0])
    assert min(losses) < 0.5 * losses[0]
    curve.load_best(model)
    with torch.no_grad():
        found = float(model.objectives(GOALS).mean())
    assert found / 0.01 == pytest.approx(min(losses), rel=1e-6)


def test_quantities_of_the_step_are_trained_with_the_policy():
    model = training(quantities=["youngs_modulus"])
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name for name in trained if not name.startswith("rollout.policy")} == {
        "rollout.step.forces.elastic.material.log_youngs_modulus"
    }
    before = model.rollout.step.forces["elastic"].material.youngs_modulus.item()
    trainer(max_epochs=1).fit(model, DataLoader(GOALS, 2), DataLoader(GOALS, 2))
    assert model.rollout.step.forces["elastic"].material.youngs_modulus.item() != before


def test_an_optimizer_and_a_scheduler_of_ones_own_are_used():
    seen = []

    def optimizer(parameters):
        seen.append(list(parameters))
        return torch.optim.SGD(seen[0], lr=0.1)

    model = training(optimizer=optimizer, scheduler=lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.5))
    fitted = trainer(max_epochs=2)
    fitted.fit(model, DataLoader(GOALS, 4), DataLoader(GOALS, 4))
    assert {id(p) for p in seen[0]} == {id(p) for p in model.rollout.policy.parameters()}
    assert fitted.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.1 * 0.5**2)


def test_a_policy_can_be_trained_to_travel():
    rollout, start, _ = steered_arm(20)
    model = PolicyTraining(rollout, start, Travel((0.0, 0.0, 1.0)))
    model.objectives(GOALS).mean().backward()
    assert all(float(p.grad.norm()) > 0 for p in rollout.policy.parameters())


def test_gradient_norms_are_those_of_the_loss_by_the_states_on_the_way():
    model = training()
    norms = model.gradient_norms([GOALS])
    assert norms.positions.shape == (7, 4)  # at the start, and after every 10 of 60 steps
    assert bool((norms.positions > 0).all())
    # By the last state the loss changes through the tip alone: the last of two frames that count.
    start = State(model.positions.expand(4, -1, -1), model.velocities.expand(4, -1, -1))
    end = model.rollout.trajectory(start, policy_inputs=(GOALS,), every=10)
    positions = end.positions.detach().requires_grad_()
    loss = model.objective(State(positions, end.velocities), GOALS).mean() / model.scale
    (gradient,) = torch.autograd.grad(loss, positions)
    torch.testing.assert_close(norms.positions[-1], gradient[-1].square().sum((-1, -2)).sqrt())


class _Wrong(nn.Module):
    def forward(self, motion, *inputs):
        return motion.positions.sum()


def test_what_does_not_fit_is_refused():
    rollout, start, tip = steered_arm()
    step, _, _ = arm()
    with pytest.raises(ValueError, match="rollout must have a policy"):
        PolicyTraining(RolloutModule(step, 5), start, DistanceToGoal(tip))
    with pytest.raises(ObservationError, match=r"state must be that of every sample, \(N, 3\)"):
        PolicyTraining(rollout, State(*(x[None] for x in start[:2])), DistanceToGoal(tip))
    with pytest.raises(ValueError, match="every must be"):
        PolicyTraining(rollout, start, DistanceToGoal(tip), every=61)
    with pytest.raises(ObservationError, match=r"objective \(_Wrong\) must return a number per sample"):
        PolicyTraining(rollout, start, _Wrong()).objectives(GOALS)
    with pytest.raises(ObservationError, match="a batch must be the policy inputs of its samples"):
        training()()

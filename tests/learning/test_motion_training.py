"""Training what a step contains: the loss is that of displacements, and becomes less."""

import lightning
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from simlayer import (
    ElasticForce,
    NeuralHyperelastic,
    ObservationError,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
)
from simlayer.learning import LearningCurve, MotionTraining

pytestmark = [
    pytest.mark.usefixtures("float64"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
]
MATERIAL = "forces.elastic.material"
LOADS = torch.tensor([[60.0, 0.0, 0.0], [0.0, 20.0, 0.0]], dtype=torch.float64)


def training(material, **options):
    mesh = box_mesh(cells=(2, 1, 1), size=(0.06, 0.03, 0.03))
    forces = {"elastic": ElasticForce(mesh, material)}
    step = SymplecticEuler(mesh, forces, dt=1e-3, fixed="x_min")
    rollout = RolloutModule(step, 12, compile=False)
    given = {"modules": MATERIAL, "inputs": "gravity", "every": 4, **options}
    return MotionTraining(rollout, State.at_rest(mesh.vertices), **given)


@torch.no_grad()
def observed():
    return training(StableNeoHookean(3e4, 0.4))(LOADS)


def test_displacements_are_those_of_a_rollout_with_these_inputs():
    model = training(StableNeoHookean(2e4, 0.3))
    found = model(LOADS)
    assert found.shape == (2, 3, *model.positions.shape)
    start = State(model.positions, model.velocities)
    frames = model.rollout.trajectory(start, {"gravity": LOADS}, every=4)
    assert torch.equal(found[1, 2], frames.positions[3, 1] - model.positions)


def test_quantities_and_weights_of_the_named_modules_are_trained_and_nothing_else():
    names = {
        name
        for name, parameter in training(NeuralHyperelastic(2e4, 0.3, hidden=(4,))).named_parameters()
        if parameter.requires_grad
    }
    assert {"rollout.step.forces.elastic.material.log_youngs_modulus"} < names
    assert any("material.network" in name for name in names)
    assert all(name.startswith("rollout.step.forces.elastic.material.") for name in names)


def test_a_material_of_the_same_class_is_found():
    model, curve = training(StableNeoHookean(2e4, 0.3), scale=0.01), LearningCurve("error")
    loader = DataLoader(TensorDataset(LOADS, observed()), 2)
    lightning.Trainer(
        accelerator="cpu",
        max_epochs=12,
        callbacks=[curve],
        num_sanity_val_steps=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(model, loader, loader)
    curve.load_best(model)
    assert curve.rows[0]["loss"] > 1e-4
    assert curve.best_loss < 1e-10
    assert model.rollout.step.forces["elastic"].material.youngs_modulus.item() == pytest.approx(3e4, rel=1e-3)


def test_the_error_is_relative_to_all_displacements():
    model, motion = training(StableNeoHookean(2e4, 0.3), scale=0.5), observed()
    logged = {}
    model.log_dict = lambda values, **_: logged.update(values)
    model.trainer = lightning.Trainer(
        logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu"
    )
    model.validation_step([LOADS, motion], 0)
    error = model(LOADS) - motion
    torch.testing.assert_close(logged["loss"], error.square().sum(-1).mean() / 0.25)
    torch.testing.assert_close(logged["error"], error.norm() / motion.norm())


def test_what_does_not_fit_is_refused():
    material = StableNeoHookean(2e4, 0.3)
    with pytest.raises(KeyError, match="did you mean 'forces"):
        training(material, modules="forces.elastic.materiel")
    with pytest.raises(ValueError, match="modules must have parameters to train"):
        training(material, modules="forces.elastic.elements")
    model = training(material)
    with pytest.raises(ObservationError, match=r"a batch must be 1 inputs \['gravity'\]"):
        model.training_step([observed()], 0)
    with pytest.raises(ObservationError, match="displacements must be of shape"):
        model.training_step([LOADS, observed()[:, :2]], 0)

"""The curriculum over the horizon: first the first observations, then more, until all count."""

import csv
import json
import sys
import warnings
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from support.observed import E, observed_beam, observed_scenes
from support.vibrations import DT, TRUE_E, recording, sensors, struck, vibration
from torch.optim import LBFGS, Adam

from simlayer import State
from simlayer.app.main import main
from simlayer.identification import (
    GaussNewton,
    History,
    HorizonCurriculum,
    ObservedRollout,
    ObservedScenes,
    ObservedTakes,
    ParameterIdentification,
    PositionLoss,
    scene_loader,
)

pytestmark = [
    pytest.mark.usefixtures("float64"),
    # The scenes are tensors in memory: workers would only slow their loading down.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Lightning asks torch for something by its old name.
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
]
TIMES = torch.arange(1, 9, dtype=torch.float64) * 0.004


class Horizons(Callback):
    """Notes the horizon and the number of steps of every epoch."""

    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        observed = pl_module.observed
        assert batch.observed.shape[1] == observed.horizon
        self.seen.append((observed.horizon, observed.to_horizon().num_steps))


def small(optimizer=None):
    """A beam that is observed eight times in 16 steps, and scenes of a stiffer one."""
    observed = observed_beam(num_steps=16, times=TIMES, frames=1)
    scenes = observed_scenes(observed, {E: 1.2e5})
    loss = PositionLoss(0.01)
    return ParameterIdentification(observed, trainable=[E], loss=loss, optimizer=optimizer), scenes


def fit(model, scenes, *callbacks, epochs, resumed=None):
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=-1, max_epochs=epochs, callbacks=list(callbacks),
    )  # fmt: skip
    loader = scene_loader(scenes)
    trainer.fit(model, loader, loader, ckpt_path=resumed)
    return trainer


def test_a_shorter_horizon_has_the_first_points_by_fewer_steps():
    model, scenes = small()
    observed, start = model.observed, State(scenes.positions, scenes.velocities)
    whole = observed(start)
    for horizon, steps in ((1, 2), (3, 6), (8, 16)):
        observed.horizon = horizon
        assert observed.to_horizon().num_steps == steps
        # Up to rounding: the last frame is the end of one interval, or the start of the next.
        torch.testing.assert_close(observed(start), whole[:, :horizon], rtol=0, atol=1e-15)
    with pytest.raises(ValueError, match="horizon must be an int, at least 1 and at most 8, got 9"):
        observed.horizon = 9


def test_a_margin_after_the_last_observation_is_kept_after_the_horizon():
    # A release that moves needs it.
    observed = observed_beam(num_steps=18, times=TIMES, frames=1)
    observed.horizon = 4
    assert observed.to_horizon().num_steps == 10


@pytest.mark.parametrize("kind", ["adam", "lbfgs"])
def test_the_horizon_grows_by_a_factor_every_so_many_epochs_up_to_all(kind):
    makers = {
        "adam": lambda p: Adam(p, lr=0.02),
        # Without tolerances it always goes on, where it would have converged.
        "lbfgs": lambda p: LBFGS(p, max_iter=1, tolerance_grad=0.0, tolerance_change=0.0),
    }
    optimizer = makers[kind]
    model, scenes = small(optimizer)
    seen, history = Horizons(), History()
    fit(model, scenes, HorizonCurriculum(0.2, factor=1.9, epochs=2), seen, history, epochs=8)
    assert [horizon for horizon, _ in seen.seen] == [2, 2, 4, 4, 8, 8, 8, 8]
    assert [steps for _, steps in seen.seen] == [4, 4, 8, 8, 16, 16, 16, 16]
    # The best values are those of all observations.
    assert history.best_loss <= min(row["loss"] for row in history.rows[5:])
    assert model.observed.horizon == 8


def test_the_horizon_grows_when_the_loss_no_longer_improves():
    model, scenes = small(lambda p: Adam(p, lr=1e-9))
    seen = Horizons()
    fit(model, scenes, HorizonCurriculum(0.5, patience=2), seen, epochs=5)
    # The first epoch sets the standard, two do not improve on it.
    assert [horizon for horizon, _ in seen.seen] == [4, 4, 4, 8, 8]


def test_gauss_newton_goes_on_to_a_longer_horizon_when_it_has_converged():
    model, scenes = small(GaussNewton)
    seen = Horizons()
    trainer = fit(model, scenes, HorizonCurriculum(0.25), seen, epochs=50)
    horizons = [horizon for horizon, _ in seen.seen]
    assert sorted(set(horizons)) == [2, 4, 8]
    assert trainer.current_epoch < 50
    assert float(model.values()[E]) == pytest.approx(1.2e5, rel=1e-6)


def test_other_callbacks_stop_a_fit_only_once_all_observations_count():
    model, scenes = small(lambda p: Adam(p, lr=1e-9))
    stop, seen = EarlyStopping("loss", min_delta=1e-3, patience=2, check_on_train_epoch_end=True), Horizons()
    trainer = fit(model, scenes, HorizonCurriculum(0.5, epochs=4), stop, seen, epochs=30)
    # Four epochs of half of them; then one that sets the standard, and two that do not improve on it.
    assert [horizon for horizon, _ in seen.seen] == [4] * 4 + [8] * 3
    assert stop in trainer.callbacks


@pytest.mark.parametrize("kind", ["adam", "gauss_newton"])
def test_a_resumed_fit_has_the_same_horizons_and_losses(kind, tmp_path):
    optimizer = (
        (lambda p: Adam(p, lr=0.02)) if kind == "adam" else (lambda p: GaussNewton(p, trust_radius=0.02))
    )

    def curriculum():
        return HorizonCurriculum(0.2, factor=1.9, epochs=2)

    whole, seen = History(), Horizons()
    fit(*small(optimizer), curriculum(), whole, seen, epochs=6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        trainer = fit(*small(optimizer), curriculum(), History(), epochs=3)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed, later = History(), Horizons()
    fit(*small(optimizer), curriculum(), resumed, later, epochs=6, resumed=tmp_path / "last.ckpt")
    assert later.seen == seen.seen[3:]
    assert [row["loss"] for row in resumed.rows] == pytest.approx(
        [row["loss"] for row in whole.rows], rel=1e-9
    )


def test_a_fit_that_ends_before_all_observations_count_is_warned_of():
    model, scenes = small(lambda p: Adam(p, lr=0.02))
    with pytest.warns(UserWarning, match="a horizon of 2 of 8 observations; allow more epochs"):
        fit(model, scenes, HorizonCurriculum(0.2, epochs=4), epochs=2)
    assert model.observed.horizon == 8


def test_a_fit_that_fails_leaves_all_observations():
    class Failing(Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            raise RuntimeError("stopped")

    model, scenes = small(lambda p: Adam(p, lr=0.02))
    with pytest.raises(RuntimeError, match="stopped"):
        fit(model, scenes, HorizonCurriculum(0.2), Failing(), epochs=2)
    assert model.observed.horizon == 8


def test_several_takes_are_refused():
    model, scenes = small()
    takes = ObservedTakes({"a": model.observed, "b": model.observed})
    both = ParameterIdentification(takes, trainable=[E], loss=PositionLoss(0.01))
    with pytest.raises(TypeError, match="HorizonCurriculum needs a ParameterIdentification of one recording"):
        fit(both, ObservedScenes(*(x.expand(2, *x.shape[1:]) for x in scenes)), HorizonCurriculum(), epochs=1)


def test_a_modulus_that_is_wrong_by_a_third_is_found_from_a_long_vibration_by_the_curriculum_only():
    steps = 240
    times, points = recording(num_steps=steps, noise=0.0)
    scenes = ObservedScenes(*(x[None] for x in struck()[:2]), points[None])

    def found(*callbacks, epochs):
        observed = ObservedRollout(vibration(0.67 * TRUE_E, num_steps=steps), sensors(), times)
        model = ParameterIdentification(observed, trainable=[E], loss=PositionLoss(0.01))
        fit(model, scenes, *callbacks, epochs=epochs)
        return float(model.values()[E])

    assert times[-1] == pytest.approx(steps * DT)
    assert abs(found(epochs=12) / TRUE_E - 1) > 0.1
    assert found(HorizonCurriculum(0.1), epochs=40) == pytest.approx(TRUE_E, rel=1e-6)


def test_the_program_fits_by_a_curriculum(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # no movies
    options = ["experiment=damping", "mesh=box", "mesh.cells=[2,1,1]", "constraints.fixed.tag=x_min"]
    options += ["material=linear", "duration=0.04", "step.dt=4e-4", "logger=csv", "run_name=test"]
    options += ["trainer.max_epochs=8", "callbacks=[default,curriculum]", "callbacks.curriculum.start=0.3"]
    main([*options, "callbacks.curriculum.epochs=1"])
    with next(Path("outputs/test").rglob("metrics.csv")).open() as file:
        horizons = [row["horizon"] for row in csv.DictReader(file) if row.get("horizon")]
    assert [float(horizon) for horizon in horizons][:3] == [3.0, 6.0, 10.0]
    results = json.loads(Path("outputs/test/results.json").read_text())
    assert results["uncertainty"]["observed_numbers"] > 6 * 12, "all observations should count in the end"

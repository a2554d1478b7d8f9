"""Gradient health: the norms of the gradient by the states on the way, logged and drawn while a fit runs."""

import math
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger, WandbLogger
from support.observed import E, observed_beam, observed_scenes
from torch.optim import Adam

from simlayer import GradientNorms
from simlayer.app.main import main
from simlayer.identification import GradientHealth, ObservedTakes, ParameterIdentification, PositionLoss
from simlayer.identification.gradient_picture import gradient_picture
from simlayer.identification.scenes import ObservedScenes, scene_loader

pytestmark = [
    pytest.mark.usefixtures("float64"),
    # The scenes are tensors in memory: workers would only slow their loading down.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Lightning asks torch for something by its old name.
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
]
METRICS = {"gradient/growth", "gradient/horizon"}


def model_and_scenes(*, count=2):
    observed = observed_beam(times=torch.tensor([0.008, 0.016]), frames=1)
    scenes = observed_scenes(observed, {E: 1.2e5}, count=count)
    loss = PositionLoss(0.01)
    return (
        ParameterIdentification(observed, trainable=[E], loss=loss, optimizer=lambda p: Adam(p, 0.05)),
        scenes,
    )


def fit(model, scenes, health, *, epochs, logger=False, folder=None):
    loader = scene_loader(scenes)
    Trainer(
        accelerator="cpu", logger=logger, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, max_epochs=epochs, callbacks=[health], log_every_n_steps=1,
        default_root_dir=folder,
    ).fit(model, loader, loader)  # fmt: skip


def test_the_first_norms_are_those_of_the_gradient_of_the_loss_by_the_initial_state():
    model, scenes = model_and_scenes()
    norms = model.gradient_norms(scenes)
    start = [part.clone().requires_grad_() for part in scenes[:2]]
    slopes = torch.autograd.grad(model.total_loss(ObservedScenes(*start, scenes.observed)), start)
    for found, slope in zip((norms.positions, norms.velocities), slopes, strict=True):
        torch.testing.assert_close(found[0], slope.square().sum((-1, -2)).sqrt())
    # At the frames of the observations.
    assert norms.times.tolist() == pytest.approx([0.0, 0.008, 0.016])


def test_norms_of_takes_are_those_of_the_rollout_that_they_share():
    model, scenes = model_and_scenes(count=1)
    two = ObservedTakes({"a": model.observed, "b": model.observed})
    both = ParameterIdentification(two, trainable=[E], loss=PositionLoss(0.01))
    norms = both.gradient_norms(ObservedScenes(*(part.expand(2, *part.shape[1:]) for part in scenes)))
    torch.testing.assert_close(norms.positions, model.gradient_norms(scenes).positions)


class Kept(Logger):
    """Keeps what the callback logs."""

    name, version = "kept", 0

    def __init__(self):
        super().__init__()
        self.rows = []

    def log_metrics(self, metrics, step=None):
        if set(metrics) == METRICS:
            self.rows.append((step, metrics))

    def log_hyperparams(self, *_, **__):
        pass


def test_every_logger_gets_growth_and_horizon_at_the_start_and_every_few_epochs():
    model, scenes = model_and_scenes()
    before, kept = model.gradient_norms(scenes), Kept()
    health = GradientHealth(every=2)
    fit(model, scenes, health, epochs=4, logger=kept)
    assert [step for step, _ in kept.rows] == [0, 2]
    assert kept.rows[0][1]["gradient/growth"] == pytest.approx(before.largest_growth(), rel=1e-12)
    assert kept.rows[0][1]["gradient/horizon"] == pytest.approx(before.horizon())
    assert health.norms.largest_growth() == kept.rows[1][1]["gradient/growth"]
    # The values have moved since, and the gradient with them.
    assert health.norms.largest_growth() != before.largest_growth()


class Gallery(WandbLogger):
    """Keeps pictures that would go to W&B."""

    def __init__(self):
        Logger.__init__(self)
        self._save_dir = None
        self.pictures = []

    def log_metrics(self, *_, **__): ...
    def log_hyperparams(self, *_, **__): ...
    def finalize(self, status): ...
    def log_image(self, key, images, step=None):
        self.pictures.append((key, len(images), step))


def test_a_logger_of_wandb_and_the_folder_get_a_picture(tmp_path):
    gallery, health = Gallery(), GradientHealth(picture="gradients.png")
    fit(*model_and_scenes(), health, epochs=1, logger=gallery, folder=tmp_path)
    assert gallery.pictures == [("gradient health", 1, 0)]
    assert (tmp_path / "gradients.png").stat().st_size > 1000


def test_the_picture_has_a_line_per_sample_and_marks_the_informative_time():
    times = torch.linspace(0.0, 1.0, 5)
    norms = torch.stack([100.0 ** (4 - torch.arange(5.0)), torch.ones(5)], 1)
    found = GradientNorms(times, norms, norms)
    figure = gradient_picture(found)
    axis = figure.axes[0]
    assert axis.get_yscale() == "log"
    before, ratios = axis.lines[0].get_data()
    assert before.tolist() == pytest.approx([-1.0, -0.75, -0.5, -0.25, 0.0])
    assert ratios.tolist() == pytest.approx([1e8, 1e6, 1e4, 1e2, 1.0])
    assert len(axis.lines) == 2
    shaded = axis.patches[0].get_extents().transformed(axis.transData.inverted())
    assert (shaded.x0, shaded.x1) == pytest.approx((-found.horizon(), 0.0))
    assert found.horizon() == 0.25


def test_a_norm_of_zero_at_the_end_can_be_drawn():
    zeros = torch.tensor([[1.0], [0.0]])
    figure = gradient_picture(GradientNorms(torch.tensor([0.0, 1.0]), zeros, zeros))
    figure.canvas.draw()
    # Relative to zero there is no ratio to draw.
    assert all(math.isnan(ratio) for axis in figure.axes for ratio in axis.lines[0].get_ydata())


def test_the_callback_of_the_program_draws_into_the_folder_of_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # no movies
    options = ["mesh=box", "mesh.cells=[2,1,1]", "constraints.fixed.tag=x_min", "material=linear"]
    options += ["debug=short", "trainer.max_epochs=1", "logger=csv", "run_name=test"]
    main([*options, "callbacks=[default,gradient_health]"])
    assert Path("outputs/test/gradient_health.png").is_file()
    assert "gradient/horizon" in next(Path("outputs/test").rglob("metrics.csv")).read_text()

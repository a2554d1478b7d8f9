"""One run: build the scene, fit it, and write down what was found."""

from __future__ import annotations

import functools
import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig
from torch import Tensor

from simlayer.errors import ConfigError, ObservationError, SimulationError
from simlayer.state import State
from simlayer.training.data import Data
from simlayer.training.dataset import scene_loader
from simlayer.training.history import History
from simlayer.training.identification import ParameterIdentification, Scenes
from simlayer.training.outcome import announce, picture, write_outcome
from simlayer.training.progress import FitProgress, Interruption
from simlayer.training.proof import check_fit_gradients
from simlayer.training.results import results_of, table
from simlayer.training.run_folder import BEST, CHECKPOINT, open_folder
from simlayer.training.run_loggers import built_loggers, finish
from simlayer.training.scene import Scene, build_scene, built, seen_by
from simlayer.training.wandb_report import WandbReport


@dataclass(frozen=True)
class Task:
    """What is fitted to what: a scene, what was seen of it, the model at the first guess, and the truth."""

    data: Data
    scene: Scene
    scenes: Scenes
    model: ParameterIdentification
    reference: dict[str, Tensor]


def run(config: DictConfig, folder: Path, *, sweep: str | None = None) -> dict[str, Any] | None:
    """Fit what a configuration describes, write everything to a folder, and return results.json.

    With `check_gradients` nothing is fitted or written, and nothing returned.

    Args:
        config: the composed configuration.
        folder: of the run; that of an earlier one is gone on from.
        sweep: the name of the multirun that this belongs to.
    """
    began = time.perf_counter()
    with computing(config.dtype, config.threads):
        seed_everything(config.seed, verbose=False)
        task = build_task(config)
        announce(config, task.scene, task.data, task.model, folder)
        if config.check_gradients:
            check_fit_gradients(task.model, task.scenes)
            return None
        last = open_folder(folder, config)
        return _fit(config, task, folder, last, sweep=sweep, began=began)


@contextmanager
def computing(dtype: str, threads: int) -> Iterator[None]:
    """Torch's default dtype and threads for a time, without what Lightning says of every run."""
    before, count = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(getattr(torch, dtype))
    torch.set_num_threads(threads)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # The scenes are tensors in memory: workers would only slow their loading down.
            warnings.filterwarnings("ignore", message=".*does not have many workers")
            # That is what resuming a run means.
            warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
            # Lightning asks torch for something by its old name.
            warnings.filterwarnings("ignore", message=".*LeafSpec")
            yield
    finally:
        torch.set_default_dtype(before)
        torch.set_num_threads(count)


def build_task(config: DictConfig) -> Task:
    data: Data = built(config.data)
    scene = build_scene(config, built(config.mesh), data)
    scenes = Scenes(scene.start.positions, scene.start.velocities, seen_by(data, scene, config))
    if len(scenes.positions) % int(config.trainer.devices):
        raise ConfigError(
            f"{len(scenes.positions)} scene(s) can not be shared equally by {config.trainer.devices} "
            "processes. Change trainer.devices, or the number of scenes (initial.known.pull=[1, 2])."
        )
    if not bool(scenes.seen.isfinite().any()):
        raise ObservationError("no point was seen at any time, so there is nothing to fit.")
    rest = scene.observed.sensors(scene.start.positions)[:, None]
    motion = (scenes.seen - rest).square().sum(-1).nanmean().sqrt()
    model = ParameterIdentification(
        scene.observed,
        trainable=config.trainable,
        loss=built(config.loss)(scale=float(motion)),
        optimizer=built(config.optimizer),
        priors={name: prior(scene.mesh) for name, prior in built(config.priors).items()},
        scheduler=built(config.scheduler) or None,
        fields=config.fields,
    )
    truth = data.truth if data.path is None else {}
    without = [unknown.name for unknown in model.unknowns if unknown.name not in truth]
    if data.path is None and without:
        raise ConfigError(
            f"the twin has no truth for {without[0]}, so that the fit would start at the solution; set "
            f"data.truth.{without[0]}=..., or data.path to a file."
        )
    reference = {
        unknown.name: torch.as_tensor(data.true_value(unknown.name, scene.mesh), dtype=torch.float64)
        for unknown in model.unknowns
        if unknown.name in truth
    }
    return Task(data, scene, scenes, model, reference)


def _fit(
    config: DictConfig, task: Task, folder: Path, last: Path | None, *, sweep: str | None, began: float
) -> dict[str, Any]:
    model, initial = task.model, task.model.values()
    history, interruption = History(task.reference), Interruption()
    loggers = built_loggers(config, folder, sweep=sweep)
    first = State(task.scenes.positions[:1], task.scenes.velocities[:1])
    drawn = functools.partial(picture, task.data, task.scene, task.scenes.seen[0])
    report = WandbReport(drawn, first)
    callbacks = [history, report, *_callbacks(config, folder), FitProgress(history), interruption]
    trainer = _trainer(config, folder, loggers, callbacks)
    failure = None
    try:
        loader = scene_loader(task.scenes)
        try:
            trainer.fit(model, loader, loader, ckpt_path=last, weights_only=True)
        except SimulationError as error:
            if not (folder / BEST).exists():
                raise
            failure = error
        model.load_state_dict(torch.load(folder / BEST, weights_only=True)["state_dict"])
        # Where the fit ran in processes of its own, only its checkpoints know what happened.
        callbacks = torch.load(folder / CHECKPOINT, weights_only=True)["callbacks"]
        history.load_state_dict(callbacks[history.state_key])
        model.trainer = None  # so that what is written out needs none
        if not trainer.is_global_zero:
            return {}
        seconds = round(time.perf_counter() - began, 1)
        ended = _ending(trainer, interruption, failure)
        results = results_of(model, history, initial, ended=ended, seconds=seconds)
        write_outcome(folder, task.data, task.scene, task.scenes, model, history, initial, results)
        report.finish(trainer, folder, results)
        print(f"\nEnded: {ended}, after {seconds:g} s and {results['epochs']} epochs.\n{table(results)}")
        print(f"Written to {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    finally:
        finish(loggers)
    if failure is not None:
        raise failure
    return results


def _ending(trainer: Trainer, interruption: Interruption, failure: Exception | None) -> str:
    if failure is not None:
        return f"failed, {failure}"
    if interruption.asked:
        return "interrupted"
    every = trainer.current_epoch >= (trainer.max_epochs or 0)
    return f"all {trainer.max_epochs} epochs" if every else "converged"


def _callbacks(config: DictConfig, folder: Path) -> list[Callback]:
    """Those of the configuration; a partial one gets the folder of checkpoints."""
    found = built(config.callbacks).values()
    place = folder / CHECKPOINT.parent
    return [c(dirpath=place) if isinstance(c, functools.partial) else c for c in found if c is not None]


def _trainer(config: DictConfig, folder: Path, loggers: list[Logger], callbacks: list[Callback]) -> Trainer:
    return built(config.trainer)(
        logger=loggers,
        callbacks=callbacks,
        default_root_dir=folder,
        enable_model_summary=False,
        # The loss at the first guess is part of the history.
        num_sanity_val_steps=-1,
        # A force may need autograd for its own value.
        inference_mode=False,
        log_every_n_steps=1,
    )

"""One run: build the scene, fit it, and write down what was found."""

from __future__ import annotations

import functools
import logging
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from omegaconf import DictConfig

from simlayer.app.loggers import WandbReport, built_loggers, finish
from simlayer.app.problem import Task, build_task
from simlayer.app.progress import FitProgress, Interruption
from simlayer.app.report import announce, picture, write_outcome
from simlayer.app.results import CONVERGED, ended_results, results_of, table
from simlayer.app.run_folder import BEST, CHECKPOINT, open_folder
from simlayer.app.scene import built
from simlayer.errors import ObservationError, SimulationError
from simlayer.identification.gradient_check import check_fit_gradients
from simlayer.identification.history import History
from simlayer.identification.module import scene_loader
from simlayer.state import State


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
        return _fit(config, task, folder, sweep=sweep, began=began)


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


def _fit(config: DictConfig, task: Task, folder: Path, *, sweep: str | None, began: float) -> dict[str, Any]:
    model, initial = task.model, task.model.values()
    history, interruption = History(task.reference), Interruption()
    first = State(task.scenes.positions[:1], task.scenes.velocities[:1])
    report = WandbReport(functools.partial(picture, task.data, task.scene, task.scenes.seen[0]), first)
    callbacks = [history, report, *_callbacks(config, folder), FitProgress(history), interruption]
    trainer = _trainer(config, folder, callbacks)
    last = open_folder(folder, config)
    if last is not None and (before := ended_results(folder)):
        print(f"\nThis run has converged; remove its results.json to go on.\n{table(before)}")
        return before
    loader, failure, loggers = scene_loader(task.scenes), None, []
    try:
        trainer.loggers = loggers = built_loggers(config, folder, sweep=sweep)
        try:
            trainer.fit(model, loader, loader, ckpt_path=last, weights_only=True)
        except (SimulationError, ObservationError) as error:
            if not (folder / BEST).exists():
                raise
            failure = error
        best = torch.load(folder / BEST, weights_only=True)
        model.load_state_dict(best["state_dict"])
        # Where the fit ran in processes of its own, only its checkpoints know what happened.
        history.load_state_dict(
            torch.load(folder / CHECKPOINT, weights_only=True)["callbacks"][history.state_key]
        )
        found_loss = best["callbacks"][history.state_key]["rows"][-1]["loss"]
        model.trainer = None  # so that what is written out needs none
        if not trainer.is_global_zero:
            return {}
        seconds = round(time.perf_counter() - began, 1)
        ended = _ending(config, history, interruption, failure)
        results = results_of(model, history, initial, loss=found_loss, ended=ended, seconds=seconds)
        results = write_outcome(folder, task, history, initial, results)
        report.finish(trainer, folder, results)
        print(f"\nEnded: {ended}, after {seconds:g} s and {results['epochs']} epochs.\n{table(results)}")
        print(f"Written to {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    finally:
        finish(loggers, failed=failure is not None or sys.exc_info()[0] is not None)
    if failure is not None:
        raise failure
    return results


def _ending(
    config: DictConfig, history: History, interruption: Interruption, failure: Exception | None
) -> str:
    if failure is not None:
        return f"failed, {failure}"
    if interruption.asked:
        return "interrupted"
    every = len(history.rows) > config.trainer.max_epochs
    return f"all {config.trainer.max_epochs} epochs" if every else CONVERGED


def _callbacks(config: DictConfig, folder: Path) -> list[Callback]:
    """Those of the configuration; a partial one gets the folder of checkpoints."""
    found = built(config.callbacks).values()
    place = folder / CHECKPOINT.parent
    return [c(dirpath=place) if isinstance(c, functools.partial) else c for c in found if c is not None]


def _trainer(config: DictConfig, folder: Path, callbacks: list[Callback]) -> Trainer:
    return built(config.trainer)(
        logger=False,  # they come when the folder is open
        callbacks=callbacks,
        default_root_dir=folder,
        enable_model_summary=False,
        # The loss at the first guess is part of the history.
        num_sanity_val_steps=-1,
        # A force may need autograd for its own value.
        inference_mode=False,
        log_every_n_steps=1,
    )

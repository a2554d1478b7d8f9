"""One run: build the fit, carry it out, and write its results."""

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

from simlayer.app.config_tree import build
from simlayer.app.loggers import WandbReport, build_loggers, finish
from simlayer.app.outputs import write_outputs
from simlayer.app.problem import FitProblem, build_problem
from simlayer.app.progress import FitProgress, Interruption
from simlayer.app.report import announce, format_table
from simlayer.app.results import CONVERGED, collect_results, read_converged
from simlayer.app.run_folder import BEST, CHECKPOINT, open_folder
from simlayer.errors import ObservationError, SimulationError
from simlayer.identification.gradient_check import check_fit_gradients
from simlayer.identification.history import History
from simlayer.identification.module import scene_loader


def run(config: DictConfig, folder: Path, *, sweep: str | None = None) -> dict[str, Any] | None:
    """Carry out the fit that a configuration describes, write everything to a folder, and return the results.

    With `check_gradients` nothing is fitted or written, and nothing returned.

    Args:
        config: the composed configuration.
        folder: the folder of the run; an earlier run in it is resumed.
        sweep: the name of the multirun that the run belongs to.
    """
    began = time.perf_counter()
    with _settings(config.dtype, config.threads):
        seed_everything(config.seed, verbose=False)
        problem = build_problem(config)
        announce(config, problem, folder)
        if config.check_gradients:
            check_fit_gradients(problem.model, problem.scenes)
            return None
        return _fit(config, problem, folder, sweep=sweep, began=began)


@contextmanager
def _settings(dtype: str, threads: int) -> Iterator[None]:
    """Set torch's default dtype and threads, and silence Lightning's usual notes, for a `with` block."""
    before, count = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(getattr(torch, dtype))
    torch.set_num_threads(threads)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # The scenes are tensors in memory: workers would only slow down their loading.
            warnings.filterwarnings("ignore", message=".*does not have many workers")
            # A resumed run writes to the folder of its checkpoints again.
            warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
            # Lightning uses a deprecated name of torch.
            warnings.filterwarnings("ignore", message=".*LeafSpec")
            yield
    finally:
        torch.set_default_dtype(before)
        torch.set_num_threads(count)


def _fit(
    config: DictConfig, problem: FitProblem, folder: Path, *, sweep: str | None, began: float
) -> dict[str, Any]:
    model, initial = problem.model, problem.model.values()
    history, interruption, wandb = History(problem.reference), Interruption(), WandbReport(problem)
    callbacks = [history, wandb, *_callbacks(config, folder), FitProgress(history), interruption]
    trainer = _trainer(config, folder, callbacks)
    last = open_folder(folder, config)
    if last is not None and (before := read_converged(folder)):
        print(f"\nThis run has converged; remove its results.json to resume it.\n{format_table(before)}")
        return before
    loader, failure, loggers = scene_loader(problem.scenes), None, []
    try:
        trainer.loggers = loggers = build_loggers(config, folder, sweep=sweep)
        try:
            trainer.fit(model, loader, loader, ckpt_path=last, weights_only=True)
        except (SimulationError, ObservationError) as error:
            if not (folder / BEST).exists():
                raise
            failure = error
        found_loss = _load_best(problem, history, folder)
        if not trainer.is_global_zero:
            return {}
        seconds = round(time.perf_counter() - began, 1)
        ended = _ending(config, history, interruption, failure)
        results = collect_results(model, history, initial, loss=found_loss, ended=ended, seconds=seconds)
        results = write_outputs(folder, problem, history, initial, results)
        print(
            f"\nEnded: {ended}, after {seconds:g} s and {results['epochs']} epochs.\n{format_table(results)}"
        )
        print(f"Written to {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
        wandb.finish(trainer, folder, results)
    finally:
        finish(loggers, failed=failure is not None or sys.exc_info()[0] is not None)
    if failure is not None:
        raise failure
    return results


def _load_best(problem: FitProblem, history: History, folder: Path) -> float:
    """Load the best epoch into the model and the whole history, and return the best loss.

    Where the fit ran in processes of its own, only its checkpoints hold the result.
    """
    best, last = (torch.load(folder / name, weights_only=True) for name in (BEST, CHECKPOINT))
    problem.model.load_state_dict(best["state_dict"])
    # A fit that fails during its evaluation leaves modules that other fits share in that mode.
    problem.model.train()
    problem.model.trainer = None  # What is written out needs none.
    history.load_state_dict(last["callbacks"][history.state_key])
    return float(best["callbacks"][history.state_key]["rows"][-1]["loss"])


def _ending(
    config: DictConfig, history: History, interruption: Interruption, failure: Exception | None
) -> str:
    """Return why the fit ended."""
    if failure is not None:
        return f"failed, {failure}"
    if interruption.asked:
        return "interrupted"
    every = len(history.rows) > config.trainer.max_epochs
    return f"all {config.trainer.max_epochs} epochs" if every else CONVERGED


def _callbacks(config: DictConfig, folder: Path) -> list[Callback]:
    """Return the configured callbacks; a partial one gets the folder of checkpoints."""
    made = build(config.callbacks).values()
    place = folder / CHECKPOINT.parent
    return [c(dirpath=place) if isinstance(c, functools.partial) else c for c in made if c is not None]


def _trainer(config: DictConfig, folder: Path, callbacks: list[Callback]) -> Trainer:
    return build(config.trainer)(
        logger=False,  # Loggers are added once the folder is open.
        callbacks=callbacks,
        default_root_dir=folder,
        enable_model_summary=False,
        # The loss at the first guess is part of the history.
        num_sanity_val_steps=-1,
        # A force may need autograd for its own value.
        inference_mode=False,
        log_every_n_steps=1,
    )

"""One run: build the fit, carry it out, and write its results."""

from __future__ import annotations

import logging
import signal
import sys
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import DictConfig

from simlayer.app.announcement import format_description
from simlayer.app.checkpoints import CHECKPOINTS, LAST, WholeCheckpoints, find_checkpoint, load_checkpoint
from simlayer.app.config_tree import build
from simlayer.app.html_report import write_report
from simlayer.app.interruption import Interrupted, Interruption
from simlayer.app.job import Job
from simlayer.app.jobs import build_job
from simlayer.app.loggers import build_loggers, finish
from simlayer.app.report import format_files
from simlayer.app.results import CONVERGED, read_converged, write_results
from simlayer.app.run_folder import locked, record_config
from simlayer.app.waiting import Waiting


def run(
    config: DictConfig,
    folder: Path,
    *,
    sweep: str | None = None,
    given: Collection[str] = (),
    command: str = "",
) -> dict[str, Any] | None:
    """Carry out the job that a configuration describes, write everything to a folder, and return the results.

    With `check_gradients` nothing is fitted or written, and nothing returned.

    Args:
        config: the composed configuration.
        folder: the folder of the run; an earlier run in it is resumed.
        sweep: the name of the multirun that the run belongs to.
        given: the keys of the configuration that the user has set.
        command: the command that repeats the run, for its report.
    """
    began = time.perf_counter()
    with _settings(config.dtype, config.threads):
        seed_everything(config.seed, verbose=False)
        with Waiting("Reading and building what the run needs"):
            job = build_job(config, given=given)
        description = job.description(given=given)
        print(format_description([*description, ("Output", str(folder))]), flush=True)
        if config.check_gradients:
            job.check_gradients()
            return None
        report = partial(write_report, folder, description=description, command=command)
        if not job.trained:
            return _solve(config, job, folder, report, began=began)
        return _train(config, job, folder, report, sweep=sweep, began=began)


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
            warnings.filterwarnings("ignore", message="The dirpath has changed from")
            # The CSV log of a resumed run begins with the epochs before.
            warnings.filterwarnings("ignore", message="Experiment logs directory .* exists and is not empty")
            # Lightning uses a deprecated name of torch.
            warnings.filterwarnings("ignore", message=".*LeafSpec")
            yield
    finally:
        torch.set_default_dtype(before)
        torch.set_num_threads(count)


def _solve(
    config: DictConfig, job: Job, folder: Path, report: Callable[..., None], *, began: float
) -> dict[str, Any]:
    """Carry out a job that is not trained: without epochs, checkpoints and loggers."""
    with locked(folder):
        record_config(folder, config)
        results = job.results(ended=CONVERGED, seconds=0.0)
        results["seconds"] = round(time.perf_counter() - began, 1)
        write_results(folder, results)
        with Waiting("Drawing and writing the results"):
            results = job.write(folder, results)
            table = job.table(results)
            report(results=results, summary=table)
        print(f"\n{table}\n{format_files(folder)}", flush=True)
        return results


def _train(
    config: DictConfig,
    job: Job,
    folder: Path,
    report: Callable[..., None],
    *,
    sweep: str | None,
    began: float,
) -> dict[str, Any]:
    """Carry out a job that is trained, from its last checkpoint if there is one, and return its results."""
    interruption = Interruption()
    callbacks = [job.history, job.report, *_callbacks(config, folder), job.progress, interruption]
    trainer = _trainer(config, folder, callbacks)
    with locked(folder) if trainer.is_global_zero else nullcontext():
        last = _open(config, folder, trainer)
        if last is not None and (before := read_converged(folder)):
            print(f"\nThis run has converged; remove its results.json to resume it.\n{job.table(before)}")
            return before
        loggers: list[Logger] = []
        try:
            trainer.loggers = loggers = build_loggers(config, folder, sweep=sweep)
            with interruption:
                if last is None:
                    job.begin(interruption, loud=trainer.is_global_zero)
                failure = _fit(trainer, job, last)
                if not trainer.is_global_zero and (failure is None or isinstance(failure, Interrupted)):
                    return {}
                _load_best(job, folder, failure)
                seconds, ended = time.perf_counter() - began, _ending(config, job, failure)
                results = job.results(ended=ended, seconds=seconds)
                write_results(folder, results)
            if not interruption.urgent:
                with Waiting("Drawing and writing the results"):
                    results = job.write(folder, results)
                    report(results=results, summary=job.table(results))
            _report(folder, job, results)
            job.report.finish(trainer, folder, results)
            if failure is None and interruption.asked is not None:
                failure = Interrupted(interruption.asked)
            if failure is not None:
                raise failure
            return results
        finally:
            finish(loggers, failed=sys.exc_info()[0] is not None)


def _open(config: DictConfig, folder: Path, trainer: Trainer) -> Path | None:
    """Record the configuration in the folder of a run, and return the checkpoint to resume from, if any."""
    if trainer.is_global_zero:
        record_config(folder, config)
    last, note = find_checkpoint(folder)
    if trainer.is_global_zero and note:
        print(note, flush=True)
    return last


def _fit(trainer: Trainer, job: Job, last: Path | None) -> BaseException | None:
    """Carry out the training, and return what ended it before its time."""
    train, validation = job.loaders()
    try:
        trainer.fit(job.model, train, validation, ckpt_path=last, weights_only=True)
    except SIGTERMException:
        return Interrupted(signal.SIGTERM)
    except (Exception, Interrupted) as error:
        return error
    return None


def _load_best(job: Job, folder: Path, failure: BaseException | None) -> None:
    """Set the model to the best values of the training; raise what ended it where there are none."""
    if not job.history.rows and (folder / LAST).exists():
        # It ran in processes of its own, or failed before it was resumed.
        job.history.load_state_dict(load_checkpoint(folder / LAST)["callbacks"][job.history.state_key])
    if not job.history.rows:
        assert failure is not None
        raise failure
    job.history.load_best(job.model)
    # A fit that fails during its evaluation leaves modules that other fits share in that mode.
    job.model.train()
    job.model.trainer = None  # What is written out needs none.


def _ending(config: DictConfig, job: Job, failure: BaseException | None) -> str:
    """Return why the training ended."""
    if isinstance(failure, Interrupted):
        return str(failure)
    if failure is not None:
        return f"failed, {failure}"
    every = len(job.history.rows) > config.trainer.max_epochs
    return f"all {config.trainer.max_epochs} epochs" if every else CONVERGED


def _report(folder: Path, job: Job, results: Mapping[str, Any]) -> None:
    """Print the end of a training, its table, and the files that were written."""
    print(f"\nEnded: {results['ended']}, after {results['seconds']:g} s and {results['epochs']} epochs.")
    print(f"{job.table(results)}\n{format_files(folder)}", flush=True)


def _callbacks(config: DictConfig, folder: Path) -> list[Callback]:
    """Return the configured callbacks; a partial one gets the folder of checkpoints."""
    made = build(config.callbacks).values()
    place = folder / CHECKPOINTS
    return [c(dirpath=place) if isinstance(c, partial) else c for c in made if c is not None]


def _trainer(config: DictConfig, folder: Path, callbacks: list[Callback]) -> Trainer:
    return build(config.trainer)(
        logger=False,  # Loggers are added once the folder is locked.
        plugins=[WholeCheckpoints()],
        callbacks=callbacks,
        default_root_dir=folder,
        enable_model_summary=False,
        # The loss at the first guess is part of the history.
        num_sanity_val_steps=-1,
        # A force may need autograd for its own value.
        inference_mode=False,
        log_every_n_steps=1,
    )

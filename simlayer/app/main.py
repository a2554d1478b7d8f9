"""`train.py` and `simlayer-train`: from the command line to a folder with everything of a run."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import sys
import sysconfig
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import hydra
import wandb
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf

from simlayer.app.config_checks import check_config
from simlayer.app.config_tree import config_folder
from simlayer.app.interruption import Interrupted, raised_on_sigterm
from simlayer.app.overrides import compose_arguments
from simlayer.app.run import run
from simlayer.app.run_folder import OtherRunError
from simlayer.app.sweep import RunRecorder, format_runs, objective, read_runs, sweep_folder, write_summary
from simlayer.errors import ConfigError, SimulationError

FULL_ERROR = "HYDRA_FULL_ERROR"
ASSETS = Path(__file__).parent / "assets"
USER_ERRORS = (
    InstantiationException,
    MisconfigurationException,
    SimulationError,
    wandb.Error,
    ValueError,
    TypeError,
    KeyError,
    OSError,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run with command-line arguments, by default the program's own; exit with status 1 on a user's error."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    OmegaConf.register_new_resolver("asset", lambda name: str(ASSETS / name), replace=True)
    try:
        config, arguments = compose_arguments(arguments)
        multirun, process = "--multirun" in arguments, os.getpid()
        if config is not None:
            check_config(config, multirun=multirun)
        sweep = sweep_folder(config, arguments) if multirun and config is not None else None
    except ConfigError as error:
        raise _failure(error) from error
    if sweep is not None and config is not None:
        # Its name may contain the time, so the other processes are given the name that this one has made.
        name = str(config.sweep_name).replace("'", "\\'")
        arguments.append(f"sweep_name='{name}'")

    def job(config: DictConfig) -> dict[str, Any] | float | None:
        return run_of_multirun(config, process) if multirun else run_job(config)

    before, sys.argv = sys.argv, [sys.argv[0], *arguments]
    try:
        with raised_on_sigterm() if multirun else nullcontext():
            _launch(job, multirun=multirun)
    except Interrupted as interruption:
        raise SystemExit(interruption.exit_code) from interruption
    except KeyboardInterrupt as interruption:
        raise SystemExit(Interrupted(signal.SIGINT).exit_code) from interruption
    finally:
        sys.argv = before
        runs = read_runs(sweep) if sweep else []
        if sweep and runs:
            written = ", ".join(write_summary(sweep, runs))
            print(f"\n{format_runs(runs)}\nWritten to {sweep}: {written}", flush=True)
    if any(run.error or run.refused for run in runs):
        raise SystemExit(1)


def _launch(job: Callable[[DictConfig], object], *, multirun: bool) -> None:
    """Let Hydra carry out one run or several; of what fails outside of a run, exit with one line."""
    full = os.environ.get(FULL_ERROR)
    os.environ[FULL_ERROR] = "1"  # Hydra would print a traceback and end the program.
    try:
        hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="train")(job)()
    except BrokenPipeError:  # The reader of a pipe, such as `head`, has enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except Exception as error:
        # A user's error in a run has ended the program before, or is recorded.
        if full or not (multirun or isinstance(error, (HydraException, OSError))):
            raise
        raise _failure(error) from error
    finally:
        if full is None:
            del os.environ[FULL_ERROR]


def run_of_multirun(config: DictConfig, process: int) -> dict[str, Any] | float | None:
    """Carry out one run of a multirun, record how it ends, and return its objective, or all of its results.

    An error is recorded and not raised, because Hydra would end the whole multirun.
    """
    job = HydraConfig.get()
    overrides = [text for text in job.overrides.task if not text.startswith("sweep_name=")]
    recorder = RunRecorder(Path(job.sweep.dir), int(job.job.num), overrides)
    with recorder.output(process):
        try:
            results = run_job(config)
            found = results if config.objective is None else objective(results or {}, config.objective)
        except OtherRunError as error:
            recorder.refuse(str(error))
            return None
        except Exception as error:
            recorder.write(_message(error))
            return None
        recorder.write(None)
    return found


def run_job(config: DictConfig) -> dict[str, Any] | None:
    """Carry out one run, in the folder that Hydra made for it."""
    job = HydraConfig.get()
    folder = Path(job.runtime.output_dir)
    multirun = job.mode == RunMode.MULTIRUN
    try:
        check_config(config, multirun=multirun)
        given = [override.lstrip("+~").partition("=")[0] for override in job.overrides.task]
        sweep = Path(job.sweep.dir).name if multirun else None
        return run(config, folder, sweep=sweep, given=given, command=_command())
    except Exception as error:
        expected = isinstance(error, USER_ERRORS)
        own = not expected or _in_users_code(error)
        if not (expected or multirun):
            raise
        if own:
            traceback.print_exception(error)
        if multirun:
            print(_failure(error, f"run {job.job.num}: "), file=sys.stderr, flush=True)
            raise
        raise SystemExit(1) if own else _failure(error) from error
    finally:
        # Hydra made it before anything was checked.
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _command() -> str:
    """Return the command that repeats the current run, alone if it is one of a multirun."""
    job = HydraConfig.get()
    folders = [source.path for source in job.runtime.config_sources if source.provider == "command-line"]
    program = Path(sys.argv[0]).name
    start = ["python", program] if program.endswith(".py") else [program]
    options = [part for folder in folders for part in ("--config-dir", str(folder))]
    return shlex.join([*start, *options, *job.overrides.task])


def _in_users_code(error: BaseException) -> bool:
    """Return whether an error was raised in the user's own code, or by a library that this code called."""
    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    package, installed = str(Path(__file__).parents[1]), tuple(set(sysconfig.get_paths().values()))
    own = [file for file in files if file.startswith(package) or not file.startswith((*installed, "<"))]
    return bool(own) and not own[-1].startswith(package)


def _failure(error: Exception, where: str = "") -> SystemExit:
    """Return the exception that ends the program with a message of one line."""
    return SystemExit(f"{Path(sys.argv[0]).name}: error: {where}{_message(error)}")


def _message(error: BaseException) -> str:
    """Return an error's message, with the key of the configuration node where Hydra wraps it."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        key = str(error).rpartition("full_key: ")[2] if "full_key" in str(error) else ""
        return (f"{key}: " if key else "") + _message(error.__cause__)
    if isinstance(error, wandb.Error):
        reason = " ".join(str(error).split())
        return f"W&B: {reason} Otherwise set logger=wandb_offline or logger=csv."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        place = error.filename or "the disk"
        return f"{place}: {error.strerror}; make room, and the same command resumes the run."
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if isinstance(error, TypeError) and "unexpected keyword" in text:
        text += "; the experiment may set it for another class: experiment=blank sets nothing."
    return text

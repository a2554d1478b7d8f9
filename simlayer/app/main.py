"""`train.py` and `simlayer-train`: from the command line to a folder with everything of a run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf

from simlayer.app.config_checks import check_config
from simlayer.app.overrides import checked
from simlayer.app.run import run
from simlayer.errors import ConfigError, SimulationError

PACKAGE = Path(__file__).parents[1]
ASSETS = Path(__file__).parent / "assets"
MISTAKES = (
    InstantiationException,
    MisconfigurationException,
    SimulationError,
    ValueError,
    TypeError,
    KeyError,
    OSError,
)


def configs() -> Path:
    """The folder of configurations: the checkout's, or the one that was installed."""
    checkout = PACKAGE.parent / "configs"
    return checkout if (checkout / "train.yaml").is_file() else PACKAGE / "configs"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run with these command-line arguments (by default the program's own); exits with 1 on a mistake."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    OmegaConf.register_new_resolver("asset", lambda name: str(ASSETS / name), replace=True)
    try:
        config, arguments = checked(arguments, configs())
        if config is not None:
            check_config(config, multirun="--multirun" in arguments)
    except ConfigError as error:
        raise _failure(error) from error
    before, sys.argv = sys.argv, [sys.argv[0], *arguments]
    try:
        hydra.main(version_base="1.3", config_path=str(configs()), config_name="train")(task)()
    finally:
        sys.argv = before


def task(config: DictConfig) -> dict[str, Any] | None:
    """One run, in the folder that Hydra made for it."""
    job = HydraConfig.get()
    folder = Path(job.runtime.output_dir)
    multirun = job.mode == RunMode.MULTIRUN
    try:
        check_config(config, multirun=multirun)
        return run(config, folder, sweep=Path(job.sweep.dir).name if multirun else None)
    except MISTAKES as error:
        if multirun:
            # Hydra goes on with the other runs, and reports this one again at the end.
            print(_failure(error), file=sys.stderr, flush=True)
            raise
        raise _failure(error) from error
    finally:
        # Hydra made it before anything was checked.
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _failure(error: Exception) -> SystemExit:
    """What ends the program: what was wrong, in a line."""
    return SystemExit(f"{Path(sys.argv[0]).name}: error: {_said(error)}")


def _said(error: BaseException) -> str:
    """The message; a configuration node's with its key, where Hydra would print a trace."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        key = str(error).rpartition("full_key: ")[2] if "full_key" in str(error) else ""
        return (f"{key}: " if key else "") + _said(error.__cause__)
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if isinstance(error, TypeError) and "unexpected keyword" in text:
        text += "; if the experiment sets it, for another class: experiment=blank sets nothing."
    return text

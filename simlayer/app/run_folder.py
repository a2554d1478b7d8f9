"""The folder of a run: locked while it is used, and its files, which are whole at any moment."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from simlayer.app.config_tree import flatten
from simlayer.errors import ConfigError

CONFIG, VERSIONS, LOCK = "config.yaml", "versions.json", ".lock"
PACKAGES = ("simlayer", "torch", "lightning", "hydra-core", "wandb", "meshio", "numpy")

# Keys that may differ when a run is resumed: how long and how it is computed and logged.
RESUMABLE_KEYS = (
    *("trainer.", "logger.", "callbacks.", "hydra."),
    *("run_name", "sweep_name", "objective", "output", "threads", "check_gradients"),
)


class OtherRunError(ConfigError):
    """The folder of a run holds another one, which stays as it is."""


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file under another name and rename it, so that it is whole however the program ends.

    Raises:
        OSError: with the path, if it cannot be written; what was there before stays.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder of a run, and keep other processes out of it for a `with` block.

    The lock ends with its process, however that ends.

    Raises:
        ConfigError: if another process uses the folder, or it is not that of a run.
    """
    if folder.is_dir() and not (folder / CONFIG).exists() and {p.name for p in folder.iterdir()} - {LOCK}:
        raise ConfigError(f"{folder} is neither empty nor the folder of a run; choose another run_name.")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ConfigError(
            f"another process is running in {folder}; wait for its end, or choose another run_name."
        ) from error
    try:
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)
        lock.release()


def record_config(folder: Path, config: DictConfig) -> None:
    """Write the configuration and the versions of packages to the folder of a run.

    Raises:
        OtherRunError: if the folder holds a run of another experiment.
        ConfigError: if it holds a configuration that cannot be read.
    """
    path = folder / CONFIG
    if path.exists() and (changes := _changes(_recorded(path, config), _plain(config))):
        raise OtherRunError(
            f"{folder} holds a run of another experiment; it can only be resumed without these changes:\n"
            + "".join(f"  {change}\n" for change in changes)
            + "Undo them, or choose another run_name, of a multirun another sweep_name."
        )
    write_whole(path, OmegaConf.to_yaml(config))
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    versions |= {"python": platform.python_version(), "platform": platform.platform()}
    write_whole(folder / VERSIONS, json.dumps(versions, indent=2) + "\n")


def _recorded(path: Path, config: DictConfig) -> dict[str, Any]:
    """Return the configuration in a file, which must have all the top-level keys of another one."""
    try:
        before = OmegaConf.load(path)
        if not set(config) <= set(before):
            raise ValueError("its end is missing")
        return _plain(before)
    except (YAMLError, OmegaConfBaseException, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            f"{path} cannot be read ({reason}); write it again, by the run's own command and "
            f"--cfg job > {path}, or choose another run_name."
        ) from error


def _plain(config: Any) -> dict[str, Any]:
    """Return the configuration with unresolved references, so that a changed key is one change."""
    container = OmegaConf.to_container(config)
    assert isinstance(container, dict)
    # A schedule that refers to the number of epochs is another one when that number changes.
    if config.get("scheduler"):
        container["scheduler"] = OmegaConf.to_container(config.scheduler, resolve=True)
    return {str(key): value for key, value in container.items()}


def _changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return the differences between two configurations, a line each."""
    old, new = flatten(before), flatten(now)
    names = [name for name in {**old, **new} if not name.startswith(RESUMABLE_KEYS)]
    return [f"{name}: {old.get(name)} -> {new.get(name)}" for name in names if old.get(name) != new.get(name)]

"""The folder of a run and its checkpoints."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import DictConfig, OmegaConf

from simlayer.app.config_tree import flatten
from simlayer.errors import ConfigError

CONFIG = "config.yaml"
CHECKPOINT, BEST = Path("checkpoints") / "last.ckpt", Path("checkpoints") / "best.ckpt"
PACKAGES = ("simlayer", "torch", "lightning", "hydra-core", "wandb", "meshio", "numpy")

# Keys that may differ when a run is resumed: how long and how it is computed and logged.
RESUMABLE_KEYS = (
    *("trainer.", "logger.", "callbacks.", "hydra."),
    *("run_name", "output", "threads", "check_gradients"),
)


def open_folder(folder: Path, config: DictConfig) -> Path | None:
    """Prepare the folder of a run, and return the checkpoint to resume from if it is that of an earlier run.

    Raises:
        ConfigError: if the earlier run was another experiment, or the folder is not that of a run.
    """
    path, last = folder / CONFIG, folder / CHECKPOINT
    if path.exists():
        if changes := _changes(_plain(OmegaConf.load(path)), _plain(config)):
            raise ConfigError(
                f"{folder} holds a run of another experiment; it can only be resumed without these changes:\n"
                + "".join(f"  {change}\n" for change in changes)
                + "Undo them, or choose another run_name."
            )
    elif folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is neither empty nor the folder of a run; choose another run_name.")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(OmegaConf.to_yaml(config), encoding="utf-8")
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    versions |= {"python": platform.python_version(), "platform": platform.platform()}
    (folder / "versions.json").write_text(json.dumps(versions, indent=2) + "\n", encoding="utf-8")
    return last if last.exists() else None


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


class RunCheckpoint(ModelCheckpoint):
    """A `ModelCheckpoint` that finds its best checkpoint after the folder of the run was moved or renamed."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        best = {self._here(path): score for path, score in state_dict["best_k_models"].items()}
        moved = {name: self._here(state_dict[name]) for name in paths if name in state_dict}
        super().load_state_dict({**state_dict, **moved, "best_k_models": best, "dirpath": self.dirpath})

    def _here(self, path: str) -> str:
        return str(Path(str(self.dirpath)) / Path(path).name) if path else path

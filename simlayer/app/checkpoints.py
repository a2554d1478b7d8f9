"""Checkpoints of a run: the last epoch, and the one before it in case the last cannot be read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from simlayer.app.run_folder import write_whole
from simlayer.errors import ConfigError

CHECKPOINTS = Path("checkpoints")
LAST, PREVIOUS = CHECKPOINTS / "last.ckpt", CHECKPOINTS / "previous.ckpt"
PARTS = {"epoch", "state_dict", "callbacks", "optimizer_states", "loops"}


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints that are whole at any moment, and keeps the last but one as `previous.ckpt`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path, content = Path(path), io.BytesIO()
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(checkpoint, content)
        if path.name == LAST.name and path.exists():
            path.replace(path.with_name(PREVIOUS.name))
        write_whole(path, content.getvalue())


def find_checkpoint(folder: Path) -> tuple[Path | None, str]:
    """Return the newest checkpoint of a run that can be read, None where there is none, and a note on it.

    Raises:
        ConfigError: if none of those that there are can be read.
    """
    faults = []
    for path in (folder / LAST, folder / PREVIOUS):
        try:
            epochs = load_checkpoint(path)["epoch"] + 1 if path.exists() else 0
        except ConfigError as error:
            faults.append(str(error))
            continue
        if epochs:
            return path, "\n".join([*faults, f"Resumes:   after {epochs} epoch(s), from {path}"])
    if faults:
        remedy = f"Remove {folder / CHECKPOINTS} to start this run again, or choose another run_name."
        raise ConfigError("\n".join([*faults, remedy]))
    return None, ""


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return the contents of a checkpoint, which are data only: a file from elsewhere cannot run code.

    Raises:
        ConfigError: if the file was cut short, or is not a checkpoint of a fit.
    """
    try:
        checkpoint = torch.load(path, weights_only=True)
    # What torch raises depends on where the file is broken.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(f"{path} cannot be read as a checkpoint ({reason}).") from error
    if not isinstance(checkpoint, dict) or not checkpoint.keys() >= PARTS:
        raise ConfigError(f"{path} is not the checkpoint of a fit.")
    return checkpoint

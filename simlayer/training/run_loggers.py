"""The loggers of a run, and their end."""

from __future__ import annotations

import secrets
from pathlib import Path

import wandb
from lightning.pytorch.loggers import CSVLogger, Logger
from omegaconf import DictConfig, OmegaConf

from simlayer.training.data import flattened
from simlayer.training.scene import built


def built_loggers(config: DictConfig, folder: Path, *, sweep: str | None) -> list[Logger]:
    """The configured loggers, each in the run's folder and with the flattened configuration."""
    loggers: list[Logger] = []
    for make in built(config.logger).values():
        if make.func is CSVLogger:
            loggers.append(make(save_dir=folder, flush_logs_every_n_steps=1))
            continue
        # Its notes on every run go to its own log; this program prints the command that matters.
        wandb.setup(wandb.Settings(silent=True))
        options = {"group": make.keywords.get("group") or sweep}
        if make.keywords.get("offline"):
            # Lightning says so by the environment, which was read before.
            options["mode"] = "offline"
        loggers.append(
            make(
                save_dir=folder,
                name=folder.name if sweep is None else f"{sweep}-{folder.name}",
                id=_identity(folder),
                resume="allow",
                tags=[config.name],
                **options,
            )
        )
    flat = flattened(OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]
    for logger in loggers:
        logger.log_hyperparams(flat)
    return loggers


def finish(loggers: list[Logger], *, failed: bool) -> None:
    """End W&B's run, or the next one of a multirun would go on in it."""
    for logger in loggers:
        logger.finalize("failed" if failed else "success")
    if wandb.run is not None:
        wandb.finish(exit_code=int(failed))


def _identity(folder: Path) -> str:
    """W&B's name for the run, the same when it is gone on with."""
    path = folder / "wandb_id.txt"
    if not path.exists():
        path.write_text(secrets.token_hex(4) + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()

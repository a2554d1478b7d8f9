"""Loggers of a run, and the report to W&B."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import wandb
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from simlayer.app.data import flattened
from simlayer.app.scene import built
from simlayer.identification.module import ParameterIdentification
from simlayer.identification.unknowns import LISTED
from simlayer.state import State


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


Picture = Callable[[Mapping[str, Tensor]], Figure]


class WandbReport(Callback):
    """Logs to W&B where there is such a logger, else does nothing.

    Args:
        picture: draws the points seen in simulations, by title, over those that were really seen.
        start: the initial state of the first scene, `(1, N, 3)`.
        every: epochs between pictures, after the first few.
    """

    def __init__(self, picture: Picture, start: State, *, every: int = 10) -> None:
        self._picture, self._start, self._every = picture, start, every

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        run = _wandb_run(trainer)
        if run is None or trainer.sanity_checking or trainer.state.fn != "fit":
            return
        assert isinstance(pl_module, ParameterIdentification)
        media: dict[str, Any] = {
            f"field/{name}": wandb.Histogram(value.flatten().tolist())
            for name, value in pl_module.values().items()
            if value.numel() > LISTED
        }
        epoch = trainer.current_epoch + 1
        if epoch <= 3 or epoch % self._every == 0:
            with torch.no_grad():
                points = pl_module(self._start.to(pl_module.device))[0].cpu()
            # Wrapped, because a bare figure would be turned into an interactive one.
            media["found over target"] = wandb.Image(self._picture({f"epoch {epoch}": points}))
        if media:
            run.log({**media, "trainer/global_step": epoch})

    def finish(self, trainer: Trainer, folder: Path, results: Mapping[str, Any]) -> None:
        """The summary and the artifact; prints how an offline run is sent."""
        run = _wandb_run(trainer)
        if run is None:
            return
        for name, row in results["parameters"].items():
            for key in ("initial", "found", "reference", "relative_error"):
                if row[key] is not None:
                    run.summary[f"{key}/{name}"] = row[key]
        artifact = wandb.Artifact(f"results-{run.id}", type="results")
        for path in sorted(folder.iterdir()):
            if path.suffix in (".json", ".yaml", ".png", ".mp4"):
                artifact.add_file(str(path))
        run.log_artifact(artifact)
        if run.settings._offline:
            print(f"W&B, offline: wandb sync {Path(run.dir).parent}")


def _wandb_run(trainer: Trainer) -> Any:
    if not trainer.is_global_zero:
        return None
    loggers = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
    return loggers[0].experiment if loggers else None

"""Loggers of a run, and its report to W&B."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import torch
import wandb
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, WandbLogger
from omegaconf import DictConfig, OmegaConf

from simlayer.app.config_tree import build, flatten
from simlayer.app.problem import FitProblem
from simlayer.app.run_folder import write_whole
from simlayer.app.surroundings import surroundings
from simlayer.errors import ConfigError
from simlayer.identification.module import ParameterIdentification
from simlayer.identification.unknowns import FEW

# The loggers that need a package, and an extra, of their own name.
OPTIONAL = ("tensorboard", "mlflow")

MLFLOW_ID = "mlflow_id.txt"


def build_loggers(config: DictConfig, folder: Path, *, sweep: str | None) -> list[Logger]:
    """Return the configured loggers, each in the run's folder and with the flattened configuration.

    Raises:
        ConfigError: if a package that one of them needs is not installed.
    """
    for option in OPTIONAL:
        if option in config.logger and find_spec(option) is None:
            raise ConfigError(f"logger={option} needs {option}: pip install 'simlayer[{option}]'")
    resumed = (folder / MLFLOW_ID).exists()
    name = folder.name if sweep is None else f"{sweep}-{folder.name}"
    loggers: list[Logger] = []
    for make in build(config.logger).values():
        if make.func is CSVLogger:
            loggers.append(make(save_dir=folder, flush_logs_every_n_steps=1))
        elif make.func is WandbLogger:
            loggers.append(_wandb(make, folder, name, tags=[config.name], group=sweep))
        elif make.func is MLFlowLogger:
            loggers.append(_mlflow(make, folder, name))
        else:
            loggers.append(make(save_dir=folder))
    flat = flatten(OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]
    for logger in loggers:
        if not (isinstance(logger, MLFlowLogger) and resumed):  # MLflow lets no parameter change.
            logger.log_hyperparams(flat)
    return loggers


def _wandb(
    make: partial[WandbLogger], folder: Path, name: str, *, tags: list[str], group: str | None
) -> Logger:
    # W&B writes its notes on every run to its own log; this program prints the command that matters.
    wandb.setup(wandb.Settings(silent=True))
    options = {"group": make.keywords.get("group") or group}
    if make.keywords.get("offline"):
        # Lightning sets the environment variable for it, which W&B has already read.
        options["mode"] = "offline"
    return make(save_dir=folder, name=name, id=_run_id(folder), resume="allow", tags=tags, **options)


def _mlflow(make: partial[MLFlowLogger], folder: Path, name: str) -> Logger:
    """Return a logger to MLflow, which continues the MLflow run of a run that is resumed."""
    path = folder / MLFLOW_ID
    known = path.read_text(encoding="utf-8").strip() if path.exists() else None
    logger = make(run_name=name, run_id=known)
    write_whole(path, f"{logger.run_id}\n")
    return logger


def finish(loggers: list[Logger], *, failed: bool) -> None:
    """Close the loggers, and end W&B's run so that the next run of a multirun begins its own."""
    for logger in loggers:
        logger.finalize("failed" if failed else "success")
    if wandb.run is not None:
        wandb.finish(exit_code=int(failed))


def _run_id(folder: Path) -> str:
    """Return the W&B run id, which is reused on resume."""
    path = folder / "wandb_id.txt"
    if not path.exists():
        write_whole(path, secrets.token_hex(4) + "\n")
    return path.read_text(encoding="utf-8").strip()


def parameter_table(parameters: Mapping[str, Mapping[str, Any]]) -> wandb.Table:
    """Return the results as a W&B table with a row for each parameter; lists of numbers become text."""
    columns = ("unit", "initial", "found", "standard_error", "reference", "relative_error")
    rows = [[name, *(row.get(column) for column in columns)] for name, row in parameters.items()]
    texts = [[str(part) if isinstance(part, list) else part for part in row] for row in rows]
    return wandb.Table(columns=["parameter", *columns], data=texts, allow_mixed_types=True)


class WandbReport(Callback, ABC):
    """Logs pictures of a run to W&B where there is such a logger.

    Args:
        every: epochs between pictures, after the first few.

    Attributes:
        pictures: files of the run's folder that are logged at its end, by title.
    """

    pictures: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *, every: int = 10) -> None:
        self._every = every

    def fields(self, model: LightningModule) -> dict[str, Any]:
        """Return what is logged after every epoch."""
        return {}

    def drawn(self, epoch: int) -> dict[str, Any]:
        """Return the pictures of an epoch."""
        return {}

    @abstractmethod
    def summary(self, results: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the table of runs shows of the results."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        run = _wandb_run(trainer)
        if run is None or trainer.sanity_checking or trainer.state.fn != "fit":
            return
        media, epoch = self.fields(pl_module), trainer.current_epoch + 1
        if epoch <= 3 or epoch % self._every == 0:
            media |= self.drawn(epoch)
        if media:
            run.log({**media, "trainer/global_step": epoch})

    def finish(self, trainer: Trainer, folder: Path, results: Mapping[str, Any]) -> None:
        """Log the summary and the artifact, and print how to upload an offline run."""
        run = _wandb_run(trainer)
        if run is None:
            return
        for key, value in self.summary(results).items():
            run.summary[key] = value
        if rows := results["parameters"]:
            run.log({"parameters": parameter_table(rows)})
        for title, name in self.pictures.items():
            if (picture := folder / name).exists():
                run.log({title: wandb.Image(str(picture))})
        artifact = wandb.Artifact(f"results-{run.id}", type="results")
        for path in sorted(folder.iterdir()):
            if path.suffix in (".npz", ".json", ".yaml", ".png", ".mp4", ".html"):
                artifact.add_file(str(path))
        run.log_artifact(artifact)
        if run.offline:
            print(f"To upload this run to W&B: wandb sync {Path(run.dir).parent}")


class FitReport(WandbReport):
    """Logs the fields of a fit, and its simulation over the observations."""

    pictures: ClassVar[Mapping[str, str]] = {"uncertainty": "uncertainty.png"}

    def __init__(self, problem: FitProblem, *, every: int = 10) -> None:
        super().__init__(every=every)
        self._problem = problem

    def fields(self, model: LightningModule) -> dict[str, Any]:
        assert isinstance(model, ParameterIdentification)
        return {
            f"field/{name}": wandb.Histogram(value.flatten().tolist())
            for name, value in model.values().items()
            if value.numel() > FEW
        }

    @torch.no_grad()
    def drawn(self, epoch: int) -> dict[str, Any]:
        problem, take = self._problem, next(iter(self._problem.takes.values()))
        points = {f"epoch {epoch}": take.observed.observe(problem.motion(take.observed.every))[0].cpu()}
        times, observed = (part[: take.observed.horizon] for part in (take.observed.times, take.points))
        beside = surroundings(problem.scene.rollout.step)
        picture = take.data.picture(problem.scene.mesh, times, observed, points, **beside)
        # W&B would turn a bare figure into an interactive one.
        return {"found over target": wandb.Image(picture)}

    def summary(self, results: Mapping[str, Any]) -> dict[str, Any]:
        keys = ("initial", "found", "standard_error", "reference", "relative_error")
        return {
            f"{key}/{name}": row[key]
            for name, row in results["parameters"].items()
            for key in keys
            if row.get(key) is not None
        }


def _wandb_run(trainer: Trainer) -> Any:
    if not trainer.is_global_zero:
        return None
    loggers = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
    return loggers[0].experiment if loggers else None

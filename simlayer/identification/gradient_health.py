"""A callback that watches how gradients grow or fade on their way back through a rollout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger

from simlayer.identification.gradient_picture import gradient_picture
from simlayer.quantities.arguments import checked_integer
from simlayer.quantities.objects import checked_text
from simlayer.rollout.adjoints import GradientNorms


class GradientHealth(Callback):
    """Computes how much the loss depends on the states on the way, at the start and every few epochs.

    Loggers get `gradient/growth` [1/s], of the sample where the norms grow or fade fastest, and
    `gradient/horizon` [s], for how long before the end they are informative, see `GradientNorms`. Those of
    W&B get a picture, too. Each time costs a simulation and its gradient, with that by every frame.

    Args:
        every: epochs from one time to the next.
        picture: a file for the latest picture, below the trainer's `default_root_dir`; None for none.

    Attributes:
        norms: those of the last time, None before the first.
    """

    def __init__(self, every: int = 10, *, picture: str | None = None) -> None:
        self.every = checked_integer("every", every, least=1)
        self.picture = None if picture is None else checked_text("picture", picture)
        self.norms: GradientNorms | None = None

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 0 and trainer.current_epoch % self.every == 0 and trainer.is_global_zero:
            gradient_norms: Any = getattr(pl_module, "gradient_norms", None)
            if gradient_norms is None:
                raise TypeError(
                    "GradientHealth needs a module with a method gradient_norms, such as "
                    f"ParameterIdentification, got {type(pl_module).__name__}; leave it out."
                )
            self.norms = norms = gradient_norms(batch)
            self._log(trainer, norms)

    def _log(self, trainer: Trainer, norms: GradientNorms) -> None:
        epoch = trainer.current_epoch
        metrics = {"gradient/growth": norms.largest_growth(), "gradient/horizon": norms.horizon()}
        drawing = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=epoch)
        if not drawing and self.picture is None:
            return
        figure = gradient_picture(norms, title=f"epoch {epoch}")
        if self.picture is not None:
            figure.savefig(Path(trainer.default_root_dir) / self.picture, dpi=150)
        for logger in drawing:
            logger.log_image("gradient health", [figure], step=epoch)

"""The progress of a fit in the terminal."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from torch import Tensor
from torch.optim import LBFGS, Optimizer
from tqdm import tqdm

from simlayer.app.waiting import SLOW, Waiting
from simlayer.identification.epoch_record import EpochRecord
from simlayer.identification.unknowns import format_value

# A first guess that is off by more than this multiple of the observed motion hints at a mistake in the setup.
FAR = 5.0


def format_progress(loss: float, values: Mapping[str, float | list[float]]) -> str:
    """Format the loss and the unknowns of a fit, by name, in a line."""
    found = ", ".join(f"{name.rpartition('.')[2]} = {format_value(value)}" for name, value in values.items())
    return f"loss = {loss:.3e}, {found}"


def format_duration(seconds: float) -> str:
    """Format a duration with the two digits that matter."""
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.2g} {unit}"
    return f"{float(f'{seconds:.2g}'):g} s"


def evaluations_per_epoch(optimizer: Optimizer) -> int:
    """Return how often an optimizer evaluates the loss for every batch of an epoch, usually at most."""
    return max(group["max_iter"] for group in optimizer.param_groups) if isinstance(optimizer, LBFGS) else 1


class FitProgress(ProgressBar):
    """Shows the loss and the unknowns of a fit: in a terminal in a progress bar, elsewhere in lines.

    The bar shows every evaluation of the loss; a line is printed for one that takes longer than `SLOW`. If
    epochs take longer than that, an estimate of their time is printed after the first evaluation.
    """

    def __init__(self, history: EpochRecord) -> None:
        super().__init__()
        self._history, self._enabled = history, True
        self._bar: tqdm | None = None
        self._first: Waiting | None = None
        self._evaluations, self._shown, self._began = 0, time.monotonic(), 0.0

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._enabled:
            self._first = Waiting("Evaluating the loss at the first guess").__enter__()

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end_wait()
        loss = float(trainer.callback_metrics["loss"])
        if self._enabled and loss > FAR**2:
            print(
                f"At the first guess the simulated points are {math.sqrt(loss):.0f} times as far from the "
                "observed ones as these ever move: the body flies off, or lies elsewhere. Check its fixed "
                "vertices, how it starts (initial), and the units and the place of mesh and data.",
                flush=True,
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._enabled and sys.stderr.isatty():
            self._bar = tqdm(
                total=trainer.max_epochs, initial=trainer.current_epoch, unit="epoch", dynamic_ncols=True
            )
        self._show(trainer)
        self._began, self._evaluations = time.monotonic(), 0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._evaluations = 0

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        self._evaluations += 1
        text = f"evaluation {self._evaluations}: loss = {float(loss.detach()):.3e}"
        if not self._enabled:
            return
        if self._bar is not None:
            self._bar.set_postfix_str(text)
        elif time.monotonic() - self._shown > SLOW:
            self._print(f"epoch {len(self._history.rows):4}  {text}")

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print after the first evaluation how long an epoch takes, if that is long."""
        if not self._began:
            return
        count = evaluations_per_epoch(trainer.optimizers[0]) * int(trainer.num_training_batches)
        epoch, self._began = count * (time.monotonic() - self._began), 0.0
        left = (trainer.max_epochs or 1) - trainer.current_epoch
        if self._enabled and epoch > SLOW:
            tqdm.write(
                f"An epoch takes some {format_duration(epoch)}, "
                f"all {left} together at most {format_duration(left * epoch)}."
            )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            if self._bar is not None:
                self._bar.update()
            self._show(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._bar is not None:
            if trainer.should_stop:  # It has converged: no more epochs are to come.
                self._bar.total = self._bar.n
                self._bar.refresh()
            self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._end_wait()
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _end_wait(self) -> None:
        if self._first is not None:
            self._first.__exit__(None, None, None)
            self._first = None

    def _show(self, trainer: Trainer) -> None:
        if not self._enabled or not self._history.rows:
            return
        row = self._history.rows[-1]
        text = format_progress(row["loss"], row["values"])
        if self._bar is not None:
            self._bar.set_postfix_str(text)
        elif row["epoch"] % max((trainer.max_epochs or 1) // 10, 1) == 0 or row["epoch"] < 5:
            self._print(f"epoch {row['epoch']:4}  {text}")

    def _print(self, line: str) -> None:
        print(line, flush=True)
        self._shown = time.monotonic()

"""The progress of a fit in the terminal, and its interruption."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ProgressBar
from tqdm import tqdm

from simlayer.identification.history import History
from simlayer.identification.unknowns import format_value


class FitProgress(ProgressBar):
    """Shows the loss and the unknowns in a bar over epochs, or without a terminal in lines."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self._history, self._enabled = history, True
        self._bar: tqdm | None = None

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._enabled and sys.stderr.isatty():
            self._bar = tqdm(
                total=trainer.max_epochs, initial=trainer.current_epoch, unit="epoch", dynamic_ncols=True
            )
        self._show(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            if self._bar is not None:
                self._bar.update()
            self._show(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.on_train_end(trainer, pl_module)

    def _show(self, trainer: Trainer) -> None:
        if not self._enabled or not self._history.rows:
            return
        row = self._history.rows[-1]
        values = ", ".join(
            f"{name.rpartition('.')[2]} = {format_value(v)}" for name, v in row["values"].items()
        )
        text = f"loss = {row['loss']:.3e}, {values}"
        if self._bar is not None:
            self._bar.set_postfix_str(text)
        elif row["epoch"] % max((trainer.max_epochs or 1) // 10, 1) == 0 or row["epoch"] < 5:
            print(f"epoch {row['epoch']:4}  {text}", flush=True)


class Interruption(Callback):
    """Ends a fit after its epoch on the first Ctrl-C, which keeps everything, and at once on the second."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Callable[[int, FrameType | None], Any] | int | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        def ask(number: int, frame: FrameType | None) -> None:
            self.asked = trainer.should_stop = True
            signal.signal(signal.SIGINT, signal.default_int_handler)
            print("\nEnding after this epoch; press Ctrl-C again to stop at once.", flush=True)

        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, ask)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.teardown(trainer, pl_module, "fit")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None

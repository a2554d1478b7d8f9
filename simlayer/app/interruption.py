"""Signals during a fit: obeyed at its next evaluation, so that what it has found is written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """The end of a run by a signal; like KeyboardInterrupt no error that other code could handle."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.exit_code = 128 + number  # what shells and schedulers expect


@contextmanager
def raised_on_sigterm() -> Iterator[None]:
    """Raise Interrupted on SIGTERM for a `with` block, in which processes may wait to be ended.

    The program would otherwise end at once, and leave them behind.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Interruption(Callback):
    """Ends a fit at its next evaluation of the loss on the first signal, and at once on the second.

    Signals are handled in a `with` block around the fit. Processes that share a fit end together.

    Attributes:
        asked: the first signal, None before.
        urgent: whether there was a second one.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self.urgent = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked is not None:
            self.urgent = True
            raise Interrupted(number)
        self.asked = number
        print("\nEnding after this evaluation of the loss; press Ctrl-C again to end at once.", flush=True)

    def obey(self) -> None:
        """Raise Interrupted if this process got a signal; for work that processes do not share."""
        if self.asked is not None:
            raise Interrupted(self.asked)

    def _obey(self, trainer: Trainer) -> None:
        if trainer.strategy.reduce_boolean_decision(self.asked is not None, all=False):
            raise Interrupted(self.asked or signal.SIGTERM)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._obey(trainer)

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        self._obey(trainer)

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._obey(trainer)

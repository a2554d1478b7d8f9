"""What a run does, whatever it trains: the interface between `train.py` and its tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import ProgressBar

from simlayer.app.interruption import Interruption
from simlayer.app.loggers import WandbReport
from simlayer.identification.epoch_record import EpochRecord


class Job(ABC):
    """What a run trains, on which data, and how it reports the result.

    Attributes:
        trained: whether Lightning trains it in epochs. Else `results` does all, and what is said of training
            here does not apply.
        unread: the keys of the configuration that have no effect on it.
        full_batch: whether it is trained on all samples at a time, as L-BFGS needs.
        model: what is trained.
        history: the callback that records it.
        report: the callback that logs pictures to W&B.
        progress: what shows in the terminal.
    """

    trained: ClassVar[bool] = True
    unread: ClassVar[tuple[str, ...]] = ()
    full_batch: ClassVar[bool] = False
    model: LightningModule
    history: EpochRecord
    report: WandbReport
    progress: ProgressBar

    def loaders(self) -> tuple[Any, Any]:
        """Return what is trained on, and what the loss of an epoch is of; None: the model has its own."""
        return None, None

    @abstractmethod
    def description(self, *, given: Collection[str]) -> list[tuple[str, str]]:
        """Return what will be done: texts with a label each; `given` are the keys that the user has set."""

    @abstractmethod
    def check_gradients(self) -> None:
        """Compare gradients with central differences, and print them."""

    def begin(self, interruption: Interruption, *, loud: bool) -> None:  # noqa: B027 - most have nothing to do
        """Do what comes before a training that is not resumed."""

    @abstractmethod
    def results(self, *, ended: str, seconds: float) -> dict[str, Any]:
        """Return the results, with the best weights loaded."""

    @abstractmethod
    def write(self, folder: Path, results: Mapping[str, Any]) -> dict[str, Any]:
        """Write the files of the run, and return the results with what was found on the way."""

    @abstractmethod
    def table(self, results: Mapping[str, Any]) -> str:
        """Format results for people."""

"""A curriculum over the horizon: a fit begins with the first observations, and goes on with more of them."""

from __future__ import annotations

import math
import warnings
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping

from simlayer.identification.gauss_newton import GaussNewton
from simlayer.identification.history import History
from simlayer.identification.module import ParameterIdentification
from simlayer.identification.observation import ObservedRollout
from simlayer.quantities.arguments import checked_integer, checked_number

# A loss that falls by less than this share no longer improves.
IMPROVEMENT = 1e-2


class HorizonCurriculum(Callback):
    """Lets only the first observations count at first, and then more and more, until all do.

    The loss of a vibration over many periods is full of local minima: where the frequency is wrong, the
    phase is lost after some time. Over the first periods it has one, from which a longer horizon starts
    nearer to the truth. Only as many steps are simulated as the horizon needs.

    The horizon is lengthened when the loss no longer improves, when Gauss-Newton has converged, or after so
    many epochs. The optimizer then starts anew. Callbacks that stop a fit early (`EarlyStopping`) look at it
    from the time on when all observations count.

    Args:
        start: the share of the observations that count at first.
        factor: by which their number grows each time.
        epochs: how many pass at most until the horizon is lengthened; None: as many as improve the loss.
        patience: after how many epochs without an improvement by a hundredth the horizon is lengthened.

    Raises:
        TypeError, ValueError: if a setting is out of its range.
    """

    def __init__(
        self, start: float = 0.1, *, factor: float = 2.0, epochs: int | None = None, patience: int = 3
    ) -> None:
        self.start = checked_number("start", start, above=0.0, most=1.0)
        self.factor = checked_number("factor", factor, above=1.0)
        self.epochs = None if epochs is None else checked_integer("epochs", epochs, least=1)
        self.patience = checked_integer("patience", patience, least=1)
        self._horizon: int | None = None
        self._best, self._waited, self._passed = math.inf, 0, 0
        self._paused: list[Callback] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        observed = _observed(pl_module)
        if self._horizon is None:
            self._horizon = math.ceil(self.start * len(observed.times))
        observed.horizon = min(self._horizon, len(observed.times))
        if observed.horizon < len(observed.times):
            callbacks = _callbacks(trainer)
            self._paused = [each for each in callbacks if isinstance(each, EarlyStopping)]
            _set_callbacks(trainer, [each for each in callbacks if each not in self._paused])

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        observed = _observed(pl_module)
        for logger in trainer.loggers:
            logger.log_metrics({"horizon": observed.horizon}, step=trainer.current_epoch)
        if observed.horizon == len(observed.times):
            # Not at the end of the last epoch, where they would still have seen the loss of another horizon.
            self._resume(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        observed = _observed(pl_module)
        if observed.horizon == len(observed.times) or not self._is_done(trainer):
            return
        if trainer.current_epoch + 1 == trainer.max_epochs:  # What was found belongs to this horizon.
            return
        count = max(observed.horizon + 1, round(self.factor * observed.horizon))
        observed.horizon = self._horizon = min(count, len(observed.times))
        self._best, self._waited, self._passed = math.inf, 0, 0
        for optimizer in trainer.optimizers:
            optimizer.state.clear()
        for callback in _callbacks(trainer):
            if isinstance(callback, History):
                callback.restart()

    def _is_done(self, trainer: Trainer) -> bool:
        """Return whether the fit to the present horizon is at its end."""
        loss = float(trainer.callback_metrics["loss"])
        improved = loss < (1 - IMPROVEMENT) * self._best
        self._waited, self._passed = 0 if improved else self._waited + 1, self._passed + 1
        self._best = min(self._best, loss)
        converged = any(isinstance(each, GaussNewton) and each.converged for each in trainer.optimizers)
        late = self.epochs is not None and self._passed >= self.epochs
        return converged or late or self._waited >= self.patience

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        observed = _observed(pl_module)
        if observed.horizon < len(observed.times):
            warnings.warn(
                f"the fit has ended with a horizon of {observed.horizon} of {len(observed.times)} "
                "observations; allow more epochs (max_epochs), or a larger factor of the curriculum.",
                stacklevel=2,
            )

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.teardown(trainer, pl_module, "fit")  # What was found may still be written.

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        observed = getattr(pl_module, "observed", None)
        if isinstance(observed, ObservedRollout):
            observed.horizon = len(observed.times)
        self._resume(trainer)

    def _resume(self, trainer: Trainer) -> None:
        """Give back to the trainer the callbacks that were taken from it."""
        _set_callbacks(trainer, [*_callbacks(trainer), *self._paused])
        self._paused = []

    def state_dict(self) -> dict[str, Any]:
        return {
            "horizon": self._horizon,
            "best": self._best,
            "waited": self._waited,
            "passed": self._passed,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._horizon, self._best = state_dict["horizon"], state_dict["best"]
        self._waited, self._passed = state_dict["waited"], state_dict["passed"]


def _observed(model: LightningModule) -> ObservedRollout:
    """Return the one recording of a fit; raises TypeError if it is another model, or has several."""
    observed = model.observed if isinstance(model, ParameterIdentification) else None
    if not isinstance(observed, ObservedRollout):
        raise TypeError(
            "HorizonCurriculum needs a ParameterIdentification of one recording; leave it out, or fit the "
            "first take alone to begin with."
        )
    return observed


def _callbacks(trainer: Trainer) -> list[Callback]:
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return callbacks


def _set_callbacks(trainer: Trainer, callbacks: list[Callback]) -> None:
    trainer.callbacks = callbacks  # type: ignore[attr-defined]

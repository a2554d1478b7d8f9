"""The Lightning module that fits quantities of a rollout to observations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from simlayer.errors import SimulationError
from simlayer.identification.first_guess import FirstGuess
from simlayer.identification.gauss_newton import MOST_UNKNOWNS, GaussNewton
from simlayer.identification.least_squares import LeastSquares, Linearization
from simlayer.identification.linearized_fit import LinearizedFit
from simlayer.identification.losses import LeastSquaresLoss
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.priors import checked_priors
from simlayer.identification.quasi_newton import lbfgs
from simlayer.identification.scenes import ObservedScenes
from simlayer.identification.takes import ObservedTakes
from simlayer.identification.uncertainty import Uncertainty, assess
from simlayer.identification.unknowns import (
    check_gradients_finite,
    select_trainable,
    select_unknowns,
    short_names,
    warn_of_vanishing_gradients,
)
from simlayer.quantities.arguments import checked_parts
from simlayer.quantities.objects import checked_function, checked_instance, checked_names
from simlayer.rollout.adjoints import GradientNorms, adjoint_norms
from simlayer.state import State


class ParameterIdentification(LightningModule):
    """Trains the named quantities of a rollout, and nothing else, until its motion matches observations.

    Every epoch ends with an evaluation of the loss at the values that it reached: "loss", which is what
    callbacks should watch. The loss that an optimizer sees during an epoch belongs to other values.

    Args:
        observed: the simulation at the first guess, and its sensors, of one recording or of several.
        trainable: names of the quantities to train, of the rollout's step, such as
            `forces.elastic.material.youngs_modulus` or just `youngs_modulus`, or `initial.velocities`,
            `release_time`.
        loss: maps simulated and observed points to a number.
        optimizer: called with the parameters, returns their optimizer; by default `GaussNewton` where the
            loss is a sum of squares, without priors, of at most 30 unknown numbers, and L-BFGS elsewhere.
        priors: added to the loss; each has the `name` of the quantity whose stored value it is called with.
        scheduler: called with the optimizer, returns its learning rate scheduler, stepped once per epoch.
        fields: names of quantities that get a value per cell (or region, or vertex).

    Raises:
        KeyError: if a name is unknown, or the end of several names.
        ValueError: if nothing is trainable, or a quantity cannot be a field.
    """

    def __init__(
        self,
        observed: ObservedRollout | ObservedTakes,
        *,
        trainable: Iterable[str],
        loss: nn.Module,
        optimizer: Callable[[list[Tensor]], Optimizer] | None = None,
        priors: Mapping[str, nn.Module] | None = None,
        scheduler: Callable[[Optimizer], Any] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.observed: ObservedRollout | ObservedTakes = observed
        checked_instance("observed", observed, (ObservedRollout, ObservedTakes))
        self.loss = checked_instance("loss", loss, nn.Module, example="PositionLoss()")
        self.priors = nn.ModuleDict(checked_priors(priors))
        self._optimizer = None if optimizer is None else checked_function("optimizer", optimizer)
        self._scheduler = None if scheduler is None else checked_function("scheduler", scheduler)
        trainable = checked_names("trainable", [trainable] if isinstance(trainable, str) else trainable)
        self.candidates = observed.quantities_by_name()
        fields = {} if fields is None else checked_parts("fields", fields, str, "'cells'")
        for name, over in fields.items():
            select_unknowns(self.candidates, [name])[0].expand(over)
        self.unknowns = select_trainable(self.candidates, trainable)
        if not self.unknowns:
            raise ValueError(f"nothing is trainable; name at least one of {list(self.candidates)}, got none.")
        self._with_prior = select_unknowns(self.candidates, [str(p.name) for p in self.priors.values()])
        with torch.no_grad():
            self._prior_loss()  # A prior of fields refuses a quantity that is none.
        # A strategy for several processes looks for what to synchronize right after this.
        self.requires_grad_(False)
        for unknown in self.unknowns:
            unknown.parameter.requires_grad_(True)
        self._first_guess = FirstGuess(self.unknowns)
        self._gauss_newton: LinearizedFit | None = None
        self._before: list[Tensor] = []

    def forward(self, state: State) -> Float[Tensor, "*batch T K 3"]:
        """Return the points that are observed in simulations from these initial states."""
        return self.observed(state)

    def total_loss(self, batch: ObservedScenes) -> Float[Tensor, ""]:
        """Return the loss of the scenes, priors included."""
        simulated = self(State(batch.positions, batch.velocities))
        return self.loss(simulated, batch.observed) + self._prior_loss()

    def gradient_norms(self, batch: ObservedScenes) -> GradientNorms:
        """Return the norms of the derivatives of the loss of the scenes by the states on the way.

        At the frames that are observed between, at the present values, see `adjoint_norms`.
        """

        def loss(frames: State) -> Tensor:
            return self.loss(self.observed.observe(frames), batch.observed)

        start = self.observed.start(State(batch.positions, batch.velocities))
        return adjoint_norms(self.observed.to_horizon(), start, loss, every=self.observed.every)

    def _prior_loss(self) -> Tensor | float:
        pairs = zip(self.priors.values(), self._with_prior, strict=True)
        return sum((prior(unknown.parameter) for prior, unknown in pairs), start=0.0)

    def on_after_batch_transfer(self, batch: ObservedScenes, dataloader_idx: int) -> ObservedScenes:
        """Return scenes with the observations that count, see `ObservedRollout.horizon`."""
        if isinstance(self.observed, ObservedTakes):
            return batch
        return batch._replace(observed=batch.observed[:, : self.observed.horizon])

    def training_step(self, batch: ObservedScenes, index: int) -> Tensor:
        """Return the total loss, which Gauss-Newton computes once for the same values."""
        if self._gauss_newton is not None:
            total = partial(self.trainer.strategy.reduce, reduce_op="sum")
            return self._gauss_newton.evaluate(batch, total)
        with self._first_guess.explained():
            self.observed.check_end()
            return self.total_loss(batch)

    def validation_step(self, batch: ObservedScenes, index: int) -> None:
        loss = self.training_step(batch, index)
        if not bool(loss.isfinite()):
            raise SimulationError(f"the loss is {float(loss)} after epoch {self.current_epoch}.")
        # `History` passes it on to loggers, together with the values that it belongs to.
        self.log("loss", loss, batch_size=len(batch.positions), sync_dist=True, logger=False)

    @property
    def few_squares(self) -> bool:
        """Whether the loss is a sum of squares, without priors, of few unknown numbers."""
        few = sum(unknown.parameter.numel() for unknown in self.unknowns) <= MOST_UNKNOWNS
        return few and isinstance(self.loss, LeastSquaresLoss) and not self.priors

    def least_squares(self) -> LeastSquares:
        """Return the fit as a problem of least squares.

        Raises:
            ValueError: if the loss is not a `LeastSquaresLoss`, or there are priors.
        """
        if not isinstance(self.loss, LeastSquaresLoss) or self.priors:
            name = type(self.loss).__name__ + (" with priors" if self.priors else "")
            raise ValueError(
                f"{name} is no sum of squares, which Gauss-Newton needs; use L-BFGS (optimizer=lbfgs)."
            )
        return LeastSquares(self.observed, self.loss, self.unknowns)

    def known_motion(self, scenes: ObservedScenes) -> State | None:
        """Return the frames of the rollouts that Gauss-Newton has observed, if at the present values.

        They are `(F, B, N, 3)` each, with B = 1 where several takes start in the same state, and
        `observed.every` steps apart.
        """
        known = None if self._gauss_newton is None else self._gauss_newton.linearization(scenes)
        return None if known is None else known.motion

    def linearized(self, scenes: ObservedScenes) -> Linearization:
        """Return the residuals of these scenes and their Jacobian at the present values.

        Raises:
            ValueError: as for `least_squares`.
        """
        known = None if self._gauss_newton is None else self._gauss_newton.linearization(scenes)
        return self.least_squares().linearized(scenes) if known is None else known

    def uncertainty(self, scenes: ObservedScenes, at: Linearization | None = None) -> Uncertainty:
        """Return how sure a fit to these scenes is of the present values.

        Args:
            scenes: what the unknowns were fitted to.
            at: the residuals and Jacobian at the present values, if they have been computed.

        Raises:
            ValueError: as for `least_squares`.
        """
        return assess(self.least_squares(), scenes, self.linearized(scenes) if at is None else at)

    def on_after_backward(self) -> None:
        check_gradients_finite(self.unknowns, epoch=self.current_epoch)
        if self.current_epoch == 0:
            warn_of_vanishing_gradients(self.unknowns)

    def test_step(self, batch: ObservedScenes, index: int) -> None:
        self.log("test_loss", self.total_loss(batch), batch_size=len(batch.positions), sync_dist=True)

    def configure_optimizers(self) -> Any:
        parameters = [unknown.parameter for unknown in self.unknowns]
        optimizer = (self._optimizer or (GaussNewton if self.few_squares else lbfgs))(parameters)
        self._gauss_newton = None
        if isinstance(optimizer, GaussNewton):
            self._gauss_newton = LinearizedFit(self.least_squares(), optimizer, self._first_guess)
        if self._scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self._scheduler(optimizer)}

    def on_train_start(self) -> None:
        batches, accumulated = self.trainer.num_training_batches, self.trainer.accumulate_grad_batches
        if self._gauss_newton is not None and not batches == accumulated == 1:
            raise ValueError(
                "Gauss-Newton compares evaluations of the same scenes: give all scenes in one batch, and "
                f"leave accumulate_grad_batches at 1; got {batches} batches and {accumulated}."
            )
        if self._gauss_newton is not None and self._gauss_newton.optimizer.converged:
            # A fit is resumed whose last epoch, of those that it was allowed, was the one that converged.
            self.trainer.should_stop = True

    def on_train_epoch_start(self) -> None:
        self._before = [unknown.parameter.detach().clone() for unknown in self.unknowns]

    def on_train_epoch_end(self) -> None:
        """Stop once Gauss-Newton has converged, or L-BFGS no longer finds a step."""
        if self._gauss_newton is not None:
            converged = self._gauss_newton.optimizer.converged
        else:
            optimizer = self.trainer.optimizers[0]
            pairs = zip(self.unknowns, self._before, strict=True)
            unchanged = all(bool((unknown.parameter == before).all()) for unknown, before in pairs)
            # One that has been started anew, without a state, has not tried yet.
            converged = isinstance(optimizer, LBFGS) and bool(optimizer.state) and unchanged
        if converged:
            self.trainer.should_stop = True

    def values(self) -> dict[str, Tensor]:
        """Return the present physical values of the unknowns by name, in SI units."""
        return {unknown.name: unknown.value.clone() for unknown in self.unknowns}

    def short_names(self) -> dict[str, str]:
        """Return the last word of each unknown's name, or the full name where two have the same last word."""
        return short_names(self.unknowns)

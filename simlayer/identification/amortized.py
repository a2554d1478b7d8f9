"""The Lightning module that trains a network to identify unseen bodies from recordings of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, TensorDataset

from simlayer.identification.epoch_record import is_recorded
from simlayer.identification.identified_specimens import IdentifiedSpecimens
from simlayer.identification.identify_specimens import fit_specimens
from simlayer.identification.least_squares import LeastSquares
from simlayer.identification.losses import PositionLoss
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.predicted_specimens import (
    PredictedSpecimens,
    specimen_unknowns,
    values_by_name,
)
from simlayer.identification.record_encoder import RecordEncoder
from simlayer.identification.recordings_network import RecordingsNetwork
from simlayer.identification.simulated_bodies import SimulatedBodies
from simlayer.identification.specimens import Specimens, specimen_values
from simlayer.identification.uniform_prior import UniformPrior
from simlayer.quantities.arguments import checked_integer
from simlayer.quantities.objects import checked_function, checked_instance
from simlayer.state import State

# Of held-out bodies, so that none of them is a training body.
_HELD_OUT = 1_000_003


class AmortizedIdentification(LightningModule):
    """Trains a network to predict quantities of unseen bodies, and how sure it is, from recordings of them.

    The bodies that it learns from are simulated, with quantities drawn from a prior, when `fit` starts; noise
    is added to their recordings anew in every batch. The network predicts a Gaussian of the stored values of
    each body, and learns by its likelihood ("amortized", or neural posterior estimation: Papamakarios,
    Murray 2016, "Fast epsilon-free inference of simulation models with Bayesian conditional density
    estimation"). `refine` takes a few steps of Gauss-Newton from what it predicts.

        module = AmortizedIdentification(observed, state, prior={"youngs_modulus": (3e4, 3e5)}, noise=3e-4)
        Trainer(max_epochs=100).fit(module)
        print(module.predict(recordings).values, module.refine(recordings))

    It logs `train_loss`, and of bodies that are held out `loss`, `median_error/<quantity>`, of positive
    quantities relative to the truth, of others to the range of the prior, and `coverage/1_sd` and
    `coverage/2_sd`: the share of values within one and two standard deviations, for a Gaussian 68 % and 95 %.

    Args:
        observed: the simulation, and its sensors.
        state: the initial state of all bodies, `(N, 3)`.
        prior: the lowest and the highest value [SI] of each quantity by name. All values between them are as
            likely, all logarithms of them where the quantity is positive.
        noise: the standard deviation of each coordinate's noise [m], one, or `(3,)`, `(K, 1)` or `(K, 3)`.
        missing: the share of points that sensors lose, as training and held-out recordings do.
        bodies, held_out: how many bodies are simulated to learn from, and to validate.
        redraw_every: after how many epochs other bodies are simulated to learn from; None: never.
        batch_size: how many recordings make a step of training.
        encoder: called with the numbers of channels C, frames T and outputs, returns the network, which maps
            `(B, C, T)` to `(B, outputs)`; `RecordEncoder` by default.
        optimizer: called with the parameters of the network, returns their optimizer; Adam by default.
        scheduler: called with the optimizer, returns its learning rate scheduler, stepped once per epoch.
        seed: of the bodies that are drawn.

    Raises:
        KeyError: if a name of the prior is unknown, or the end of several names.
        TypeError, ValueError, ObservationError: if an argument is of another class, shape or range.
    """

    def __init__(
        self,
        observed: ObservedRollout,
        state: State,
        *,
        prior: Mapping[str, Sequence[float]],
        noise: float | Tensor,
        missing: float = 0.0,
        bodies: int = 1024,
        held_out: int = 128,
        redraw_every: int | None = None,
        batch_size: int = 64,
        encoder: Callable[[int, int, int], nn.Module] = RecordEncoder,
        optimizer: Callable[[list[Tensor]], Optimizer] | None = None,
        scheduler: Callable[[Optimizer], Any] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        checked_instance("observed", observed, ObservedRollout)
        self.prior = UniformPrior(observed.quantities_by_name(), prior)
        self.simulated = SimulatedBodies(observed, state, self.prior, noise=noise, missing=missing)
        self.simulated.requires_grad_(False)
        self.bodies = checked_integer("bodies", bodies, least=2)
        self.held_out = checked_integer("held_out", held_out, least=1)
        self.batch_size = checked_integer("batch_size", batch_size, least=1)
        self.redraw_every = (
            None if redraw_every is None else checked_integer("redraw_every", redraw_every, least=1)
        )
        self.seed = checked_integer("seed", seed, least=0)
        self._optimizer = torch.optim.Adam if optimizer is None else checked_function("optimizer", optimizer)
        self._scheduler = None if scheduler is None else checked_function("scheduler", scheduler)
        self.network = RecordingsNetwork(
            checked_function("encoder", encoder, arguments=3),
            observed.times,
            self.simulated.shape[1],
            self.prior.size,
        )
        self._training_bodies = TensorDataset()

    def predict(self, recordings: Any) -> PredictedSpecimens:
        """Return what the network makes of recordings: values, and their standard errors.

        Args:
            recordings: positions of the observed points of each body [m], `(B, T, K, 3)`, at the times of
                `observed`; NaN where a point was not observed.

        Raises:
            ObservationError: if they are of another shape, or infinite.
        """
        points, training = self.simulated.checked(recordings), self.network.training
        with torch.no_grad():
            mean, covariance = self.network.eval().gaussian(points)
        self.network.train(training)
        return PredictedSpecimens(specimen_unknowns(self.prior.unknowns, mean.cpu()), covariance.cpu())

    def refine(self, recordings: Any, *, steps: int = 3) -> IdentifiedSpecimens:
        """Return the values that a few steps of Gauss-Newton find, from those that the network predicts.

        The first step starts in the ranges of the prior. Standard errors are those of the fit, to first
        order, of residuals as they are after the last step.

        Args:
            recordings: as for `predict`.
            steps: the most steps of each fit.

        Raises:
            ObservationError: as for `predict`.
            SimulationError: if no body can be simulated with its predicted values.
        """
        points, most = self.simulated.checked(recordings), checked_integer("steps", steps, least=1)
        start, unknowns = self.prior.nearest(self.predict(points).stored), self.prior.unknowns
        observed, loss = self.simulated.observed, PositionLoss(noise=self.simulated.errors.noise)
        with specimen_values(unknowns, start):
            squares = LeastSquares(observed, loss, unknowns)
            specimens = Specimens(observed, squares, self.simulated.scenes(points))
            return fit_specimens(specimens, max_steps=most, must_converge=False)

    def draw(
        self, count: int, *, seed: int
    ) -> tuple[dict[str, Float[Tensor, "B"]], Float[Tensor, "B T K 3"]]:
        """Return the true values of bodies of the prior, by name [SI], and recordings of them."""
        count, seed = checked_integer("count", count, least=1), checked_integer("seed", seed, least=0)
        stored, points = self.simulated.record(count, seed)
        return values_by_name(specimen_unknowns(self.prior.unknowns, stored)), points

    def on_fit_start(self) -> None:
        stored, points = self.simulated.simulate(self.bodies, self.seed)
        self.network.standardize(points, stored, self.simulated.errors.noise)
        self._training_bodies = TensorDataset(stored, points)

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self._training_bodies, batch_size=self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[Any]:
        bodies = self.simulated.record(self.held_out, self.seed + _HELD_OUT)
        return DataLoader(TensorDataset(*bodies), batch_size=self.held_out)

    def on_train_epoch_start(self) -> None:
        epoch = self.current_epoch
        if self.redraw_every and epoch and epoch % self.redraw_every == 0:
            drawn = self.simulated.simulate(self.bodies, self.seed + epoch)
            for old, new in zip(self._training_bodies.tensors, drawn, strict=True):
                old.copy_(new)

    def training_step(self, batch: Sequence[Tensor], index: int) -> Tensor:
        """Return the negative log likelihood of a batch of bodies, recorded with new errors."""
        stored, points = batch
        loss = self.network.negative_log_likelihood(self.simulated.errors(points), stored)
        self._logged({"train_loss": loss}, len(stored))
        return loss

    def validation_step(self, batch: Sequence[Tensor], index: int) -> None:
        stored, points = batch
        logged = {"loss": self.network.negative_log_likelihood(points, stored)}
        predicted = self.predict(points)
        for deviations in (1, 2):
            logged[f"coverage/{deviations}_sd"] = predicted.coverage(stored.cpu(), deviations).mean()
        truth = values_by_name(specimen_unknowns(self.prior.unknowns, stored.cpu()))
        logged |= self.prior.median_errors(predicted.values, truth)
        self._logged(logged, len(stored))

    def _logged(self, values: Mapping[str, Tensor], size: int) -> None:
        """Log the means of an epoch."""
        logger = False if is_recorded(self.trainer) else None
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=size, sync_dist=True, logger=logger)

    def configure_optimizers(self) -> Any:
        optimizer = self._optimizer(list(self.network.parameters()))
        if self._scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self._scheduler(optimizer)}

"""The Lightning module that fits quantities of a rollout to observations, and its data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset

from simlayer.errors import SimulationError
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.unknowns import check_gradients_finite, chosen, warn_of_vanishing_gradients
from simlayer.state import State


class Scenes(NamedTuple):
    """A batch of scenes: where each body starts, as far as that is known, and where its points were seen.

    Attributes:
        positions, velocities: initial state, `(B, N, 3)`.
        seen: positions of what was seen, `(B, T, K, 3)` [m]; NaN where nothing was.
    """

    positions: Float[Tensor, "B N 3"]
    velocities: Float[Tensor, "B N 3"]
    seen: Float[Tensor, "B T K 3"]


class ParameterIdentification(LightningModule):
    """Trains named quantities of a rollout, and nothing else, until it moves as it was seen to.

    Every epoch ends with an evaluation of the loss at the values that it reached: "loss", which is what
    callbacks should watch. An optimizer's own evaluations are on the way to them.

    Args:
        observed: the simulation, at the first guess, as it is seen.
        trainable: physical names of quantities: of the rollout's step, such as
            `forces.elastic.material.youngs_modulus`, or `initial.velocities`, `release_time`.
        loss: maps simulated and seen points to a number.
        optimizer: called with the parameters, returns their optimizer.
        priors: added to the loss; each has the `name` of the quantity whose stored value it is called with.
        scheduler: called with the optimizer, returns its learning rate scheduler, stepped once an epoch.
        fields: names of quantities that get a value for every cell (or region, or vertex).

    Raises:
        KeyError: if a name is unknown.
        ValueError: if nothing is trainable, or a field can not be one.
    """

    def __init__(
        self,
        observed: ObservedRollout,
        *,
        trainable: Iterable[str],
        loss: nn.Module,
        optimizer: Callable[[list[nn.Parameter]], Optimizer],
        priors: Mapping[str, nn.Module] | None = None,
        scheduler: Callable[[Optimizer], Any] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.observed, self.loss = observed, loss
        self.priors = nn.ModuleDict(dict(priors or {}))
        self._optimizer, self._scheduler = optimizer, scheduler
        self.known = observed.quantities_by_name()
        for name, over in (fields or {}).items():
            chosen(self.known, [name])[0].expand(over)
        self.unknowns = chosen(self.known, dict.fromkeys(trainable))
        if not self.unknowns:
            raise ValueError(f"nothing is trainable; name at least one of {list(self.known)}.")
        chosen(self.known, [str(prior.name) for prior in self.priors.values()])
        with torch.no_grad():
            for prior in self.priors.values():
                prior(self.known[str(prior.name)].stored)  # a prior of fields says so if this is none
        # Before a strategy for several processes looks for what to synchronise.
        self.requires_grad_(False)
        for unknown in self.unknowns:
            unknown.parameter.requires_grad_(True)

    def forward(self, start: State) -> Float[Tensor, "*batch T K 3"]:
        """The points seen in a simulation from these initial states."""
        return self.observed(start)

    def total_loss(self, batch: Scenes) -> Float[Tensor, ""]:
        """The loss of the scenes, priors included."""
        loss = self.loss(self(State(batch.positions, batch.velocities)), batch.seen)
        for prior in self.priors.values():
            loss = loss + prior(self.known[str(prior.name)].stored)
        return loss

    def training_step(self, batch: Scenes, index: int) -> Tensor:
        self.observed.check_end()
        return self.total_loss(batch)

    def validation_step(self, batch: Scenes, index: int) -> None:
        self.observed.check_end()
        size, loss = len(batch.positions), self.total_loss(batch)
        if not bool(loss.isfinite()):
            raise SimulationError(f"the loss is {float(loss)} after epoch {self.current_epoch}.")
        # `History` passes it on to loggers, together with the values that it belongs to.
        self.log("loss", loss, batch_size=size, sync_dist=True, logger=False)

    def on_after_backward(self) -> None:
        check_gradients_finite(self.unknowns, epoch=self.current_epoch)
        if self.current_epoch == 0:
            warn_of_vanishing_gradients(self.unknowns)

    def test_step(self, batch: Scenes, index: int) -> None:
        self.log("test_loss", self.total_loss(batch), batch_size=len(batch.positions), sync_dist=True)

    def configure_optimizers(self) -> Any:
        optimizer = self._optimizer([unknown.parameter for unknown in self.unknowns])
        if self._scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self._scheduler(optimizer)}

    def values(self) -> dict[str, Tensor]:
        """The unknowns now: physical values by name, in SI units."""
        return {unknown.name: unknown.value.clone() for unknown in self.unknowns}


class SceneDataset(Dataset[Scenes]):
    """Single scenes of a batch."""

    def __init__(self, scenes: Scenes) -> None:
        self.scenes = scenes

    def __len__(self) -> int:
        return len(self.scenes.positions)

    def __getitem__(self, index: int) -> Scenes:
        return Scenes(*(part[index] for part in self.scenes))


def scene_loader(scenes: Scenes, *, batch_size: int | None = None) -> DataLoader[Scenes]:
    """A loader of all scenes at once, or of batches; processes share them."""
    dataset = SceneDataset(scenes)
    return DataLoader(dataset, batch_size=batch_size or len(dataset), collate_fn=_collated)


def _collated(scenes: Sequence[Scenes]) -> Scenes:
    return Scenes(*(torch.stack(parts) for parts in zip(*scenes, strict=True)))

"""The Lightning module that fits quantities of a rollout to observations, and its data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from simlayer.errors import ObservationError, SimulationError
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.unknowns import (
    check_gradients_finite,
    format_value,
    select_unknowns,
    summarize,
    warn_of_vanishing_gradients,
)
from simlayer.quantities.arguments import checked_integer, checked_parts
from simlayer.quantities.arrays import checked_floats, described
from simlayer.quantities.objects import checked_function, checked_instance, checked_names
from simlayer.state import State


class ObservedScenes(NamedTuple):
    """A batch of scenes: the known initial state of each, and what was observed of it.

    Attributes:
        positions, velocities: initial state, `(B, N, 3)`.
        observed: positions of observed points, `(B, T, K, 3)` [m]; NaN where a point was not observed.
    """

    positions: Float[Tensor, "B N 3"]
    velocities: Float[Tensor, "B N 3"]
    observed: Float[Tensor, "B T K 3"]


class ParameterIdentification(LightningModule):
    """Trains the named quantities of a rollout, and nothing else, until its motion matches observations.

    Every epoch ends with an evaluation of the loss at the values that it reached: "loss", which is what
    callbacks should watch. The loss that an optimizer sees during an epoch belongs to other values.

    Args:
        observed: the simulation at the first guess, and its sensors.
        trainable: names of the quantities to train, of the rollout's step, such as
            `forces.elastic.material.youngs_modulus` or just `youngs_modulus`, or `initial.velocities`,
            `release_time`.
        loss: maps simulated and observed points to a number.
        optimizer: called with the parameters, returns their optimizer.
        priors: added to the loss; each has the `name` of the quantity whose stored value it is called with.
        scheduler: called with the optimizer, returns its learning rate scheduler, stepped once per epoch.
        fields: names of quantities that get a value per cell (or region, or vertex).

    Raises:
        KeyError: if a name is unknown, or the end of several names.
        ValueError: if nothing is trainable, or a quantity cannot be a field.
    """

    def __init__(
        self,
        observed: ObservedRollout,
        *,
        trainable: Iterable[str],
        loss: nn.Module,
        optimizer: Callable[[list[Tensor]], Optimizer],
        priors: Mapping[str, nn.Module] | None = None,
        scheduler: Callable[[Optimizer], Any] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.observed = checked_instance("observed", observed, ObservedRollout)
        self.loss = checked_instance("loss", loss, nn.Module, example="PositionLoss()")
        self.priors = nn.ModuleDict(
            {} if priors is None else checked_parts("priors", priors, nn.Module, "SmoothnessPrior")
        )
        self._optimizer = checked_function("optimizer", optimizer)
        self._scheduler = None if scheduler is None else checked_function("scheduler", scheduler)
        trainable = checked_names("trainable", [trainable] if isinstance(trainable, str) else trainable)
        self.candidates = observed.quantities_by_name()
        fields = {} if fields is None else checked_parts("fields", fields, str, "'cells'")
        for name, over in fields.items():
            select_unknowns(self.candidates, [name])[0].expand(over)
        self.unknowns = list(dict.fromkeys(select_unknowns(self.candidates, trainable)))
        if not self.unknowns:
            raise ValueError(f"nothing is trainable; name at least one of {list(self.candidates)}, got none.")
        names = [str(prior.name) for prior in self.priors.values()]
        self._with_prior = select_unknowns(self.candidates, names)
        with torch.no_grad():
            self._prior_loss()  # A prior of fields refuses a quantity that is none.
        # A strategy for several processes looks for what to synchronize right after this.
        self.requires_grad_(False)
        for unknown in self.unknowns:
            unknown.parameter.requires_grad_(True)
        self._first_guess = self.values()

    def forward(self, state: State) -> Float[Tensor, "*batch T K 3"]:
        """Return the points that are observed in simulations from these initial states."""
        return self.observed(state)

    def total_loss(self, batch: ObservedScenes) -> Float[Tensor, ""]:
        """Return the loss of the scenes, priors included."""
        simulated = self(State(batch.positions, batch.velocities))
        return self.loss(simulated, batch.observed) + self._prior_loss()

    def _prior_loss(self) -> Tensor | float:
        pairs = zip(self.priors.values(), self._with_prior, strict=True)
        return sum((prior(unknown.parameter) for prior, unknown in pairs), start=0.0)

    def _evaluate(self, batch: ObservedScenes) -> Tensor:
        """Return the total loss; an error says how far the fit has come from the first guess."""
        self.observed.check_end()
        try:
            return self.total_loss(batch)
        except SimulationError as error:
            if moved := self._moved():
                error.args = (
                    f"the fit has run to {moved}, where the simulation fails: {error} If no body is like "
                    "that, the observations cannot be followed for another reason: check how the body starts "
                    "and when (initial, observation.release_time), its density, gravity, damping and fixed "
                    "vertices, and the units of mesh and data. Else try a smaller learning rate.",
                )
            raise

    def _moved(self) -> str:
        """Format the unknowns that are no longer at the first guess."""
        values, names = self.values(), self.short_names()
        return ", ".join(
            f"{names[name]} = {format_value(summarize(values[name]))} (from {format_value(summarize(first))})"
            for name, first in self._first_guess.items()
            if not torch.equal(values[name], first)
        )

    def training_step(self, batch: ObservedScenes, index: int) -> Tensor:
        return self._evaluate(batch)

    def validation_step(self, batch: ObservedScenes, index: int) -> None:
        size, loss = len(batch.positions), self._evaluate(batch)
        if not bool(loss.isfinite()):
            raise SimulationError(f"the loss is {float(loss)} after epoch {self.current_epoch}.")
        # `History` passes it on to loggers, together with the values that it belongs to.
        self.log("loss", loss, batch_size=size, sync_dist=True, logger=False)

    def on_after_backward(self) -> None:
        check_gradients_finite(self.unknowns, epoch=self.current_epoch)
        if self.current_epoch == 0:
            warn_of_vanishing_gradients(self.unknowns)

    def test_step(self, batch: ObservedScenes, index: int) -> None:
        self.log("test_loss", self.total_loss(batch), batch_size=len(batch.positions), sync_dist=True)

    def configure_optimizers(self) -> Any:
        optimizer = self._optimizer([unknown.parameter for unknown in self.unknowns])
        if self._scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self._scheduler(optimizer)}

    def values(self) -> dict[str, Tensor]:
        """Return the present physical values of the unknowns by name, in SI units."""
        return {unknown.name: unknown.value.clone() for unknown in self.unknowns}

    def short_names(self) -> dict[str, str]:
        """Return the last word of each unknown's name, or the full name where two have the same last word."""
        words = [unknown.name.rpartition(".")[2] for unknown in self.unknowns]
        return {
            u.name: w if words.count(w) == 1 else u.name for u, w in zip(self.unknowns, words, strict=True)
        }


def scene_loader(scenes: ObservedScenes, *, batch_size: int | None = None) -> DataLoader[ObservedScenes]:
    """Return a loader of all scenes at once, or of batches; several processes share them."""
    _check_scenes(scenes)
    single = [ObservedScenes(*parts) for parts in zip(*scenes, strict=True)]
    size = len(single) if batch_size is None else checked_integer("batch_size", batch_size, least=1)
    return DataLoader(single, batch_size=size, collate_fn=_collate)  # type: ignore[arg-type]


def _check_scenes(scenes: ObservedScenes) -> None:
    """Raise an error unless all scenes have a state of one body, and observations of one shape."""
    checked_instance("scenes", scenes, ObservedScenes)
    for name, part in scenes._asdict().items():
        axes, shape = (4, "(B, T, K, 3)") if name == "observed" else (3, "(B, N, 3)")
        checked_floats(f"{name} of scenes", part)
        if part.ndim != axes or part.shape[-1] != 3 or not part.numel():
            raise ObservationError(f"{name} of scenes must be of shape {shape}, got {described(part)}.")
    shapes = [tuple(part.shape) for part in scenes]
    if shapes[0] != shapes[1] or shapes[0][0] != shapes[2][0]:
        raise ObservationError(
            f"the scenes have positions {shapes[0]}, velocities {shapes[1]} and observed {shapes[2]}: they "
            "must be as many of each, one state and its observations per scene."
        )


def _collate(scenes: Sequence[ObservedScenes]) -> ObservedScenes:
    return ObservedScenes(*(torch.stack(parts) for parts in zip(*scenes, strict=True)))

"""The interface of a test on a specimen: what was measured, and its simulation."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.errors import ObservationError, first_index
from simlayer.identification.influence import Influence
from simlayer.quantities.arguments import checked_number
from simlayer.quantities.objects import checked_instance, checked_text
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State
from simlayer.steps.base import Step


class SpecimenTest(ABC):
    """A test on a specimen, with its own mesh, loads and data.

    Materials that are the same object in several tests are one material to `identify_tests`.

    Attributes:
        rollout: its simulation.

    Args:
        step: the specimen, with all that holds and loads it.
        observed: what was measured [`unit`], NaN where it was not.
        noise: the standard deviation of the measurements [`unit`]; None: not known.
        name: of the test.
        unit: of the measurements.

    Raises:
        ObservationError: if nothing was measured, or a measurement is infinite.
    """

    rollout: RolloutModule

    def __init__(
        self, step: Step, observed: Float[Tensor, "*n"], *, noise: float | None, name: str, unit: str
    ) -> None:
        self.step = checked_instance("step", step, Step, example="Equilibrium(...)")
        self.name, self.unit = checked_text("name", name), unit
        self.noise = None if noise is None else checked_number("noise", noise, above=0.0, unit=unit)
        self.observed = observed.to(step.free)
        if bool(self.observed.isinf().any()):
            index = first_index(self.observed.isinf())
            raise ObservationError(f"{name}: what was measured must not be infinite, got so at {index}.")
        if not bool(self.observed.isfinite().any()):
            raise ObservationError(f"{name}: nothing was measured: all {observed.numel()} values are NaN.")

    @abstractmethod
    def frames(self) -> State:
        """Return the states at the start and after every step of `rollout`, with the present values."""

    @abstractmethod
    def simulated(self) -> Float[Tensor, "*n"]:
        """Return what the simulation gives for the measurements, with the present values of the step.

        Raises:
            SimulationError: if it fails.
        """

    def residuals(self) -> Float[Tensor, "*n"]:
        """Return simulated minus measured values [`unit`], zero where nothing was measured."""
        missing = self.observed.isnan()
        return torch.where(missing, 0.0, self.simulated() - self.observed.nan_to_num())

    def influence(self) -> Influence | None:
        """Return the influence of the flattened residuals; None if they are plain differences."""
        return None

    @property
    def numbers(self) -> int:
        """How many numbers were measured."""
        return int((~self.observed.isnan()).sum())

    @property
    def size(self) -> float:
        """The root mean square of what was measured [`unit`]."""
        return float(self.observed[~self.observed.isnan()].square().mean().sqrt())

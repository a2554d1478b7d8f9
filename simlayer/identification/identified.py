"""What a fit has found: values, standard errors, and what the data do not determine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from simlayer.identification.found_values import FoundValues
from simlayer.identification.uncertainty import Uncertainty
from simlayer.identification.unknowns import Unknown


@dataclass(frozen=True)
class Identified(FoundValues):
    """What a fit has found. The rollout itself has the values, too.

    Attributes:
        unknowns: the quantities.
        uncertainty: of their values.
        residuals: simulated minus observed coordinates [m], times their weights where `noise` is given,
            `(B, T, K, 3)`; zero where nothing was observed.
        steps: how many steps the fit took.
    """

    unknowns: tuple[Unknown, ...]
    uncertainty: Uncertainty
    residuals: Float[np.ndarray, "B T K 3"]
    steps: int

    def identified(self) -> tuple[Unknown, ...]:
        return self.unknowns

    def __str__(self) -> str:
        return "\n".join([*self.undetermined, *self.format_values()])

"""The hold-out: another recording of the same motion, which is compared with but not fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from omegaconf import DictConfig
from scipy.optimize import minimize_scalar
from torch import Tensor

from simlayer.app.data import Data
from simlayer.app.scene import Scene
from simlayer.app.takes import build_take
from simlayer.identification.losses import residual
from simlayer.identification.observation import ObservedRollout
from simlayer.state import State

# How far the release may be from the configured one [s].
_SLACK = 0.02


@dataclass(frozen=True)
class HoldOut:
    """Another recording of the same body and the same motion, of which only the release is unknown.

    Attributes:
        data: where the observations come from.
        simulation: the rollout with the sensors and times of this recording.
        points: the observed points, `(T, K, 3)`.
    """

    data: Data
    simulation: ObservedRollout
    points: Float[Tensor, "T K 3"]

    @torch.no_grad()
    def compare(self, motion: State, *, every: int) -> tuple[dict[str, Any], Float[Tensor, "T K 3"]]:
        """Return the residual at the release that fits best, and the simulated points.

        Args:
            motion: the frames of the rollout, which a release only shifts in time.
            every: the steps from one to the next.
        """
        guess = float(self.simulation.release_time)

        def points(release: float) -> Tensor:
            self.simulation.release_time = release
            return self.simulation.observe(motion, every=every)[0]

        def error(release: float) -> float:
            return float((points(release) - self.points).square().nanmean())

        bounds = (guess - _SLACK, guess + _SLACK)
        found = minimize_scalar(error, bounds=bounds, method="bounded", options={"xatol": 1e-6})
        simulated = points(float(found.x))
        results = {"source": str(self.data.path), "release_time": float(found.x)}
        return results | {"residual": residual(simulated, self.points)}, simulated


def build_holdout(config: DictConfig, scene: Scene) -> HoldOut | None:
    """Return the configured hold-out, None without a path: keys of `data` that differ, and the release."""
    if not config.holdout or config.holdout.data.path is None:
        return None
    take = build_take(config, scene, config.holdout, key="holdout", slack=_SLACK)
    return HoldOut(take.data, take.observed, take.points)

"""The hold-out: another recording of the same motion, which is compared with but not fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from omegaconf import DictConfig, OmegaConf
from scipy.optimize import minimize_scalar
from torch import Tensor

from simlayer.app.config_tree import build
from simlayer.app.data import Data
from simlayer.app.scene import Scene
from simlayer.errors import ObservationError
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
    def compare(self, start: State) -> tuple[dict[str, Any], Float[Tensor, "T K 3"]]:
        """Return the residual at the release that fits best, and the simulated points."""
        motion = self.simulation.motion(start)
        guess = float(self.simulation.release_time)

        def points(release: float) -> Tensor:
            self.simulation.release_time = release
            return self.simulation.observe(motion)[0]

        def error(release: float) -> float:
            return float((points(release) - self.points).square().nanmean())

        # The release only shifts the motion in time, so that it is simulated once.
        bounds = (guess - _SLACK, guess + _SLACK)
        found = minimize_scalar(error, bounds=bounds, method="bounded", options={"xatol": 1e-6})
        simulated = points(float(found.x))
        results = {"source": str(self.data.path), "release_time": float(found.x)}
        return results | {"residual": residual(simulated, self.points)}, simulated


def build_holdout(config: DictConfig, scene: Scene) -> HoldOut | None:
    """Return the configured hold-out, None without a path: keys of `data` that differ, and the release."""
    if not config.holdout or config.holdout.data.path is None:
        return None
    data: Data = build(OmegaConf.merge(config.data, config.holdout.data))
    release = config.holdout.get("release_time")
    release = data.default_release if release is None else release
    times, rollout = data.times(lambda: config.duration, release), scene.rollout
    left = rollout.num_steps * rollout.step.dt - (float(times[-1]) - release + _SLACK)
    if left < 0:
        raise ObservationError(
            f"holdout.data ends {-left:.3g} s after the simulation: make holdout.data.window shorter, or "
            "observation.margin longer."
        )
    simulation = ObservedRollout(
        rollout,
        data.sensors(scene.mesh),
        times,
        initial=scene.observed.initial,
        release_time=release,
        frames=config.observation.frames,
    )
    return HoldOut(data, simulation, data.recorded(scene.mesh))

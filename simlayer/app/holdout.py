"""What was seen of the body another time, to test what was found on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from omegaconf import DictConfig, OmegaConf
from scipy.optimize import minimize_scalar
from torch import Tensor

from simlayer.app.data import Data
from simlayer.app.scene import Scene, built
from simlayer.errors import ObservationError
from simlayer.identification.losses import residual
from simlayer.identification.observation import ObservedRollout
from simlayer.state import State

# How far the release may be from where it is said to be [s].
_SLACK = 0.02


@dataclass(frozen=True)
class Unseen:
    """Another recording of the same body and the same motion, of which only the release is not known.

    Attributes:
        data: what was seen.
        observed: the simulation, as it is seen there.
        points: what was seen, `(T, K, 3)`.
    """

    data: Data
    observed: ObservedRollout
    points: Float[Tensor, "T K 3"]

    @torch.no_grad()
    def compared(self, start: State) -> tuple[dict[str, Any], Float[Tensor, "T K 3"]]:
        """Where points are that start like this, released when that fits best, and how far off they are."""
        motion = self.observed.motion(start)
        guess = float(self.observed.release_time)

        def points(release: float) -> Tensor:
            self.observed.release_time = release
            return self.observed.seen(motion)[0]

        def error(release: float) -> float:
            return float((points(release) - self.points).square().nanmean())

        # The motion does not depend on when it begins: moving it costs nothing.
        bounds = (guess - _SLACK, guess + _SLACK)
        found = minimize_scalar(error, bounds=bounds, method="bounded", options={"xatol": 1e-6})
        simulated = points(float(found.x))
        results = {"source": str(self.data.path), "release_time": float(found.x)}
        return results | {"residual": residual(simulated, self.points)}, simulated


def unseen_of(config: DictConfig, scene: Scene) -> Unseen | None:
    """What `unseen` describes, if it has a path: the keys of `data` that differ, and the release."""
    if not config.unseen or config.unseen.data.path is None:
        return None
    data: Data = built(OmegaConf.merge(config.data, config.unseen.data))
    release = config.unseen.release_time
    times, rollout = data.times(lambda: config.duration, release), scene.rollout
    left = rollout.num_steps * rollout.step.dt - (float(times[-1]) - release + _SLACK)
    if left < 0:
        raise ObservationError(
            f"unseen.data ends {-left:.3g} s after the simulation: make unseen.data.window shorter, or "
            "observation.margin longer."
        )
    observed = ObservedRollout(
        rollout,
        data.sensors(scene.mesh),
        times,
        initial=scene.observed.initial,
        release_time=release,
        frames=config.observation.frames,
    )
    return Unseen(data, observed, data.recorded(scene.mesh))

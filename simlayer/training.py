"""The former name of `simlayer.identification` and `simlayer.motion_capture`; deprecated."""

import warnings

from torch import Tensor

from simlayer.identification import *  # noqa: F403
from simlayer.identification import ObservedScenes
from simlayer.motion_capture import *  # noqa: F403

warnings.warn(
    "simlayer.training is now simlayer.identification, and simlayer.motion_capture for recordings.",
    DeprecationWarning,
    stacklevel=2,
)


def Scenes(positions: Tensor, velocities: Tensor, seen: Tensor) -> ObservedScenes:
    """Return `ObservedScenes`, the present name."""
    return ObservedScenes(positions, velocities, observed=seen)

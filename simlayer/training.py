"""The former name of `simlayer.identification` and `simlayer.motion_capture`; deprecated."""

import warnings

from simlayer.identification import *  # noqa: F403
from simlayer.motion_capture import *  # noqa: F403

warnings.warn(
    "simlayer.training is now simlayer.identification, and simlayer.motion_capture for recordings.",
    DeprecationWarning,
    stacklevel=2,
)

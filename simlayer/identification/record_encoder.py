"""A network that reads a record of a body's motion."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from simlayer.quantities.arguments import checked_integer


class RecordEncoder(nn.Module):
    """Maps records of C channels in T frames to numbers, by convolutions over time and two dense layers.

    Args:
        channels: C.
        frames: T.
        outputs: how many numbers.
        width: the number of channels of each convolution; the dense layers have four times as many units.
        kernel: how many frames a convolution sees.
    """

    def __init__(self, channels: int, frames: int, outputs: int, *, width: int = 32, kernel: int = 5) -> None:
        super().__init__()
        given = {"channels": channels, "frames": frames, "outputs": outputs, "width": width, "kernel": kernel}
        channels, frames, outputs, width, kernel = (
            checked_integer(name, value, least=1) for name, value in given.items()
        )
        # The second convolution keeps every other frame.
        left = (frames + 1) // 2
        odd = kernel + 1 - kernel % 2
        self.layers = nn.Sequential(
            nn.Conv1d(channels, width, odd, padding="same"),
            nn.SiLU(),
            nn.Conv1d(width, width, odd, stride=2, padding=odd // 2),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(width * left, 4 * width),
            nn.SiLU(),
            nn.Linear(4 * width, 4 * width),
            nn.SiLU(),
            nn.Linear(4 * width, outputs),
        )

    def forward(self, records: Float[Tensor, "B C T"]) -> Float[Tensor, "B outputs"]:
        return self.layers(records)

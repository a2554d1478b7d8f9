"""The network of an amortized identification: recordings to a Gaussian of stored values."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.quantities.arrays import described
from simlayer.quantities.objects import checked_instance


class RecordingsNetwork(nn.Module):
    """Maps recordings of K points in T frames to a Gaussian of P stored values of each body.

    Recordings and stored values are standardized by those of the bodies that it learns from. An encoder sees
    4 K + 1 channels: the coordinates of the points, zero where a point was not observed in all of them, which
    points were, and the time. Its outputs are the mean m and a triangular matrix A, with a positive diagonal,
    of z = A (x - m), which has the standard normal distribution: the inverse covariance is Aᵀ A.

    Args:
        encoder: called with the numbers of channels, frames and outputs, returns a module that maps
            `(B, channels, frames)` to `(B, outputs)`.
        times: the times of the frames [s].
        points: K.
        size: P.

    Raises:
        TypeError: if the encoder is no module, or returns other outputs.
    """

    middle: Tensor
    spread: Tensor
    stored_mean: Tensor
    stored_spread: Tensor
    clock: Tensor

    def __init__(
        self,
        encoder: Callable[[int, int, int], nn.Module],
        times: Float[Tensor, "T"],
        points: int,
        size: int,
    ) -> None:
        super().__init__()
        frames, self.size = len(times), size
        dtype = torch.get_default_dtype()
        for name, start in (
            ("middle", torch.zeros(frames, points, 3)),
            ("spread", torch.ones(points, 3)),
            ("stored_mean", torch.zeros(size)),
            ("stored_spread", torch.ones(size)),
        ):
            self.register_buffer(name, start)
        elapsed = times - times[0]
        clock = 2 * elapsed / elapsed[-1].clamp(min=torch.finfo(times.dtype).tiny) - 1
        self.register_buffer("clock", clock.to(dtype), persistent=False)
        outputs = 2 * size + size * (size - 1) // 2
        self.encoder = _made(encoder, (4 * points + 1, frames, outputs))
        self.outputs = outputs

    def standardize(
        self, points: Float[Tensor, "B T K 3"], stored: Float[Tensor, "B P"], noise: Float[Tensor, "K 3"]
    ) -> None:
        """Take the means and deviations of these recordings without noise, and of their stored values."""
        self.middle.copy_(points.mean(0))
        # A coordinate that hardly moves is as large as its noise, and no larger.
        self.spread.copy_(((points - points.mean(0)).square().mean((0, 1)) + noise.square()).sqrt())
        self.stored_mean.copy_(stored.mean(0))
        self.stored_spread.copy_(stored.std(0))

    def forward(
        self, points: Float[Tensor, "B T K 3"]
    ) -> tuple[Float[Tensor, "B P"], Float[Tensor, "B P P"]]:
        """Return the mean of the standardized values, and the matrix A, of bodies; NaN: not observed."""
        present = ~points.isnan().any(-1, keepdim=True)
        # Masked before anything is computed with it: 0 times nan would be nan in the gradient.
        coordinates = torch.where(present, (points.nan_to_num() - self.middle) / self.spread, 0.0)
        clock = self.clock[None, :, None].expand(len(points), -1, 1)
        channels = torch.cat([coordinates.flatten(2), present.flatten(2).to(points.dtype), clock], 2)
        outputs = self.encoder(channels.mT.contiguous())
        if not isinstance(outputs, Tensor) or outputs.shape != (len(points), self.outputs):
            raise TypeError(
                f"encoder must map {tuple(channels.mT.shape)} to ({len(points)}, {self.outputs}), got "
                f"{described(outputs)}."
            )
        mean, logarithms, below = outputs.split([self.size, self.size, self.outputs - 2 * self.size], 1)
        factor = logarithms.exp().diag_embed()
        rows, columns = torch.tril_indices(self.size, self.size, -1, device=points.device)
        factor[:, rows, columns] = below
        return mean, factor

    def negative_log_likelihood(
        self, points: Float[Tensor, "B T K 3"], stored: Float[Tensor, "B P"]
    ) -> Float[Tensor, ""]:
        """Return that of stored values, the mean over bodies, but for a constant: zero if all is known."""
        mean, factor = self(points)
        z = factor @ ((stored - self.stored_mean) / self.stored_spread - mean)[..., None]
        logarithms = factor.diagonal(dim1=1, dim2=2).log()
        return (0.5 * z.square().sum((1, 2)) - logarithms.sum(1)).mean()

    def gaussian(
        self, points: Float[Tensor, "B T K 3"]
    ) -> tuple[Float[Tensor, "B P"], Float[Tensor, "B P P"]]:
        """Return the means of the stored values of each body, and their covariances, in double precision."""
        mean, factor = (part.double() for part in self(points))
        scale = self.stored_spread.double()
        inverse = scale[:, None] * torch.linalg.inv(factor)
        return self.stored_mean + scale * mean, inverse @ inverse.mT


def _made(encoder: Callable[[int, int, int], nn.Module], sizes: tuple[int, int, int]) -> nn.Module:
    """Return the module that an encoder makes for so many channels, frames and outputs."""
    try:
        made = encoder(*sizes)
    except Exception as error:  # whatever a user's own may raise
        raise TypeError(
            f"encoder must be a function of the numbers of channels, frames and outputs, {sizes}, got "
            f"{described(encoder)}, which raised {type(error).__name__}: {error}"
        ) from error
    return checked_instance("what encoder returns", made, nn.Module)

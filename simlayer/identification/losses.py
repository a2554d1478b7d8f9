"""The loss of a fit, and the residual of what it found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simlayer.errors import ObservationError
from simlayer.quantities.arguments import checked_number
from simlayer.quantities.arrays import checked_floats, checked_integers, checked_numbers, described, oddity
from simlayer.quantities.checked_module import CheckedModule, Option


def checked_frames(name: str, value: Any) -> str | list[int]:
    """Return which frames count: "all", "last", or a list of indices."""
    if isinstance(value, str) and value in ("all", "last"):
        return value
    try:
        return list(map(int, checked_integers(name, value).reshape(-1)))
    except TypeError:
        raise ValueError(
            f"{name} must be 'all', 'last' or a list of indices, got {described(value)}."
        ) from None


def selected_frames(
    points: Float[Tensor, "*batch T K 3"], frames: str | list[int]
) -> Float[Tensor, "*batch F K 3"]:
    """Return the frames that count: "all", "last", or those with these indices."""
    if frames == "all":
        return points
    chosen = [-1] if isinstance(frames, str) else frames
    count = points.shape[-3]
    if wrong := [frame for frame in chosen if not -count <= frame < count]:
        raise ValueError(f"frames of the loss: {wrong[0]} is not among the {count} observed frames.")
    return points[..., chosen, :, :]


class LeastSquaresLoss(CheckedModule, ABC):
    """The sum of the squares of residuals, over the number of points of which something was observed."""

    @abstractmethod
    def residuals(
        self, simulated: Float[Tensor, "*batch T V 3"], observed: Float[Tensor, "*batch T K 3"]
    ) -> Float[Tensor, "*batch F K 3"]:
        """Return the residuals of the F frames that count, zero where a coordinate was not observed (NaN)."""

    @abstractmethod
    def present(self, observed: Float[Tensor, "*batch T K 3"]) -> Bool[Tensor, "*batch F K 3"]:
        """Return which coordinates of the frames that count were observed."""

    def bends(
        self, simulated: Float[Tensor, "*batch T V 3"], observed: Float[Tensor, "*batch T K 3"]
    ) -> Float[Tensor, "*batch F K 3"] | None:
        """Return f f'' / f'² of residuals f(r) that bound the influence of outliers; None where f is r.

        With r a difference of what was simulated and observed: what standard errors need of f.
        """
        return None

    def present_points(self, observed: Float[Tensor, "*batch T K 3"]) -> Bool[Tensor, "*batch F K"]:
        """Return of which points of the frames that count at least one coordinate was observed."""
        return self.present(observed).any(-1)

    def forward(
        self, simulated: Float[Tensor, "*batch T V 3"], observed: Float[Tensor, "*batch T K 3"]
    ) -> Float[Tensor, ""]:
        residuals, present = self.residuals(simulated, observed), self.present(observed)
        check_residuals(self, residuals, present)
        return residuals.square().sum() / present.any(-1).sum()


def check_residuals(loss: LeastSquaresLoss, residuals: Any, present: Any) -> None:
    """Raise TypeError unless the methods of a loss returned residuals, and which of them are present."""
    name = type(loss).__name__
    if not isinstance(residuals, Tensor) or residuals.ndim < 3 or residuals.shape[-1] != 3:
        raise TypeError(f"{name}.residuals must return (*batch, F, K, 3), got {described(residuals)}.")
    checked_floats(f"what {name}.residuals returns", residuals)
    shape = tuple(residuals.shape)
    if not isinstance(present, Tensor) or present.dtype != torch.bool or present.shape != shape:
        raise TypeError(
            f"{name}.present must return a boolean tensor of shape {shape}, one for each coordinate of the "
            f"residuals, got {described(present)}."
        )
    if oddity(present):
        raise TypeError(f"{name}.present must return a plain tensor, got one that is {oddity(present)}.")


class PositionLoss(LeastSquaresLoss):
    """Mean square distance between simulated and observed points, in units of `scale`.

    The mean runs over scenes, frames and points, so that it does not grow with the number of steps; points
    that were not observed (NaN) do not count, and of a point that was observed in some of its coordinates,
    as by one camera, the others do not. With the root mean square motion as `scale`, a body that does not
    move has a loss of about 1.

    Args:
        scale: the unit of length [m].
        frames: the frames that count: "all", "last", or a list of indices.
        noise: the standard deviation of each coordinate's noise [m], `(3,)`, `(K, 1)` or `(K, 3)`, by whose
            squares they are weighted, relative to each other; by default all count the same.

    Raises:
        ObservationError: if a standard deviation is not positive, or they have more axes.
    """

    weights: Tensor
    scale = Option(checked_number, above=0.0, unit="m")
    frames = Option(checked_frames)

    def __init__(self, scale: float = 1.0, *, frames: str | Sequence[int] = "all", noise: Any = None) -> None:
        super().__init__()
        self.scale, self.frames = scale, frames
        deviations = checked_numbers("noise", 1.0 if noise is None else noise)
        if deviations.ndim > 2:
            raise ObservationError(
                f"noise must have shape (3,), (K, 1) or (K, 3), got {tuple(deviations.shape)}."
            )
        if not bool((deviations > 0).all() & deviations.isfinite().all()):
            raise ObservationError(f"noise must be positive and finite, got {described(deviations)}.")
        # With a mean square of one, so that equal noise changes nothing.
        weights = deviations.min() / deviations
        weights = weights / weights.square().mean().sqrt()
        self.register_buffer("weights", weights.to(torch.get_default_dtype()), persistent=False)

    def residuals(
        self, simulated: Float[Tensor, "*batch T K 3"], observed: Float[Tensor, "*batch T K 3"]
    ) -> Float[Tensor, "*batch F K 3"]:
        _check_points(simulated, observed)
        simulated, observed = (selected_frames(x, self.frames) for x in (simulated, observed))
        # Masked before anything is computed with it: 0 times nan would be nan in the gradient.
        difference = torch.where(~observed.isnan(), simulated - observed.nan_to_num(), 0.0)
        try:
            return difference * (self.weights / self.scale)
        except RuntimeError as error:
            raise ObservationError(
                f"noise of shape {tuple(self.weights.shape)} does not fit {difference.shape[-2]} points."
            ) from error

    def present(self, observed: Float[Tensor, "*batch T K 3"]) -> Bool[Tensor, "*batch F K 3"]:
        return ~selected_frames(observed, self.frames).isnan()

    def extra_repr(self) -> str:
        return f"scale = {self.scale:.3g} m, frames = {self.frames!r}"


def _check_points(simulated: Tensor, observed: Tensor) -> None:
    """Check that each simulated point has its own observation, because others would be broadcast."""
    for name, points in (("simulated", simulated), ("observed", observed)):
        if checked_floats(name, points).ndim < 3:
            raise ObservationError(f"{name} must be points (*batch, T, K, 3), got {described(points)}.")
        if not points.numel():
            raise ObservationError(f"{name} must hold at least one point, got shape {tuple(points.shape)}.")
    if simulated.shape != observed.shape or simulated.shape[-1] != 3:
        raise ObservationError(
            "simulated and observed must be as many points (*batch, T, K, 3), got "
            f"{tuple(simulated.shape)} and {tuple(observed.shape)}. Give one initial "
            "state per scene, one sensor per point, and NaN where a coordinate was not observed."
        )


def residual(
    simulated: Float[Tensor, "*batch T K 3"], observed: Float[Tensor, "*batch T K 3"]
) -> dict[str, float]:
    """Return the root mean square distance [m] over all observed points, and that along each observed axis.

    Of a point that was observed in some coordinates only, the distance is that in these.

    Raises:
        ObservationError: if the shapes differ.
    """
    _check_points(simulated, observed)
    present = ~observed.isnan().flatten(0, -2)
    difference = (simulated - observed.nan_to_num()).flatten(0, -2)
    squares = torch.where(present, difference.square(), 0.0)
    along = (squares.sum(0) / present.sum(0)).sqrt()
    seen = present.any(0).tolist()
    directions = {axis: float(along[k]) for k, axis in enumerate("xyz") if seen[k]}
    return {"rms": float((squares.sum() / present.any(-1).sum()).sqrt()), **directions}


def format_residual(residual: Mapping[str, float]) -> str:
    """Format a residual for display, in millimetres."""
    sizes = {axis: 1e3 * size for axis, size in residual.items() if axis in ("rms", *"xyz")}
    # Of what would be nothing but zeros, the digits that are not.
    digits = ".3f" if max(sizes.values()) >= 1e-3 or not any(sizes.values()) else ".2g"
    parts = ", ".join(f"{axis} {sizes[axis]:{digits}}" for axis in "xyz" if axis in sizes)
    return f"{sizes['rms']:{digits}} mm rms ({parts})"

"""Observed scenes: the data of a fit, and their loader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader

from simlayer.errors import ObservationError, first_index
from simlayer.quantities.arguments import checked_integer
from simlayer.quantities.arrays import checked_floats, described
from simlayer.quantities.objects import checked_instance


class ObservedScenes(NamedTuple):
    """A batch of scenes: the known initial state of each, and what was observed of it.

    Attributes:
        positions, velocities: initial state, `(B, N, 3)`.
        observed: positions of observed points, `(B, T, K, 3)` [m]; NaN where a coordinate was not observed.
    """

    positions: Float[Tensor, "B N 3"]
    velocities: Float[Tensor, "B N 3"]
    observed: Float[Tensor, "B T K 3"]


def scene_loader(scenes: ObservedScenes, *, batch_size: int | None = None) -> DataLoader[ObservedScenes]:
    """Return a loader of all scenes at once, or of batches; several processes share them."""
    checked_scenes(scenes)
    single = [ObservedScenes(*parts) for parts in zip(*scenes, strict=True)]
    size = len(single) if batch_size is None else checked_integer("batch_size", batch_size, least=1)
    return DataLoader(single, batch_size=size, collate_fn=_collate)  # type: ignore[arg-type]


def checked_scenes(scenes: ObservedScenes) -> ObservedScenes:
    """Return scenes; raise ObservationError unless they are of one body, and observations of one shape."""
    checked_instance("scenes", scenes, ObservedScenes)
    for name, part in scenes._asdict().items():
        axes, shape = (4, "(B, T, K, 3)") if name == "observed" else (3, "(B, N, 3)")
        checked_floats(f"{name} of scenes", part)
        if part.ndim != axes or part.shape[-1] != 3 or not part.numel():
            raise ObservationError(f"{name} of scenes must be of shape {shape}, got {described(part)}.")
    shapes = [tuple(part.shape) for part in scenes]
    if shapes[0] != shapes[1] or shapes[0][0] != shapes[2][0]:
        raise ObservationError(
            f"the scenes have positions {shapes[0]}, velocities {shapes[1]} and observed {shapes[2]}: they "
            "must be as many of each, one state and its observations per scene."
        )
    observed = scenes.observed
    if bool(observed.isinf().any()):
        where = first_index(observed.isinf())
        raise ObservationError(
            f"observed points must be finite, or NaN where there is none, got {observed[where]} at {where}."
        )
    if bool(observed.isnan().all()):
        raise ObservationError(
            "observed points must hold at least one, but nothing is observed: all "
            f"{observed[..., 0].numel()} points are NaN."
        )
    return scenes


def _collate(scenes: Sequence[ObservedScenes]) -> ObservedScenes:
    return ObservedScenes(*(torch.stack(parts) for parts in zip(*scenes, strict=True)))

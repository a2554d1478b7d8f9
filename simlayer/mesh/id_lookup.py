"""Vertices and cells by the numbers that their file gives them."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from simlayer.errors import listed
from simlayer.mesh.validation import INTEGERS, MeshError


def rows_of_ids(
    ids: Sequence[int] | Int[Tensor, "K"], known: Int[Tensor, "R"], kind: str, source: str
) -> Int[Tensor, "K"]:
    """Return where these ids are among those that are known.

    Args:
        ids: the ids to find.
        known: the id of each vertex, or cell.
        kind: "vertex" or "cell", for messages.
        source: of the mesh, for messages.

    Raises:
        MeshError: if one is not known.
    """
    wanted = torch.as_tensor(ids, device=known.device)
    if wanted.dtype not in INTEGERS or wanted.dim() != 1:
        raise MeshError(
            f"{source}: ids must be integers of shape (K,), got {wanted.dtype} of shape "
            f"{tuple(wanted.shape)}."
        )
    ordered, order = known.sort()
    places = torch.searchsorted(ordered, wanted.long()).clamp(max=len(known) - 1)
    missing = wanted[ordered[places] != wanted]
    if len(missing):
        dropped = "; nodes that no cell uses were dropped" if kind == "vertex" else ""
        raise MeshError(
            f"{source}: no {kind} has the id {listed(missing.tolist())}; there are {len(known)} "
            f"from {ordered[0]} to {ordered[-1]}{dropped}."
        )
    return order[places]

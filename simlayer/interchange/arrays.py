"""Motions as NumPy arrays by name, which `numpy.savez` writes as they are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.interchange.motion import BodyMotion, checked_motion
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.validation import MeshError
from simlayer.quantities.arguments import checked_parts

NEEDED = ("rest_positions", "cells", "cell_regions", "region_names", "positions", "times")
SETS, VERTEX_FIELDS, CELL_FIELDS = "vertex_sets.", "vertex_fields.", "cell_fields."


def to_arrays(
    mesh: Mesh,
    positions: Float[Tensor, "T N 3"],
    *,
    times: Float[Tensor, "T"] | None = None,
    vertex_fields: Mapping[str, Tensor] | None = None,
    cell_fields: Mapping[str, Tensor] | None = None,
) -> dict[str, np.ndarray]:
    """Return a body and its motion as arrays by name; `from_arrays` makes both of them again.

    These are `rest_positions` (N, 3), `cells` (M, C), `cell_regions` (M,), `region_names`, `positions`
    (T, N, 3), `times` (T,), and by their names `vertex_sets.NAME`, `vertex_fields.NAME`, `cell_fields.NAME`.

    Args:
        mesh: the body.
        positions: of its vertices in each frame [m].
        times: of the frames [s]; by default 0, 1, 2, ...
        vertex_fields: (T, N, ...), or (N, ...) if constant, by name.
        cell_fields: (T, M, ...), or (M, ...).

    Raises:
        MeshError: if positions, times or a field do not fit the mesh.
    """
    motion = checked_motion(mesh, positions, times, vertex_fields, cell_fields)
    tensors = {
        "rest_positions": mesh.vertices,
        "cells": mesh.cells,
        "cell_regions": mesh.cell_regions,
        "positions": motion.positions,
        "times": motion.times,
        **{f"{SETS}{name}": chosen for name, chosen in mesh.vertex_sets.items()},
        **{f"{VERTEX_FIELDS}{name}": values for name, values in motion.vertex_fields.items()},
        **{f"{CELL_FIELDS}{name}": values for name, values in motion.cell_fields.items()},
    }
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
    return {**arrays, "region_names": np.array(mesh.region_names)}


def from_arrays(arrays: Mapping[str, np.ndarray]) -> BodyMotion:
    """Return the body and the motion in arrays that `to_arrays` has made, also as `numpy.load` reads them.

    Raises:
        MeshError: if an array is missing, or they do not fit each other.
    """
    arrays = checked_parts("arrays", arrays, np.ndarray, "an array")
    if missing := [name for name in NEEDED if name not in arrays]:
        raise MeshError(
            f"arrays must have {', '.join(NEEDED)}, as to_arrays makes them; missing: {missing[0]}; "
            f"got {list(arrays)}."
        )
    mesh = Mesh(
        _tensor("rest_positions", arrays),
        _tensor("cells", arrays),
        vertex_sets={name: _tensor(f"{SETS}{name}", arrays) for name in _named(SETS, arrays)},
        cell_regions=_tensor("cell_regions", arrays),
        region_names=tuple(map(str, arrays["region_names"])),
        source="arrays",
    )
    return checked_motion(
        mesh,
        _tensor("positions", arrays),
        _tensor("times", arrays),
        {name: _tensor(f"{VERTEX_FIELDS}{name}", arrays) for name in _named(VERTEX_FIELDS, arrays)},
        {name: _tensor(f"{CELL_FIELDS}{name}", arrays) for name in _named(CELL_FIELDS, arrays)},
    )


def _named(prefix: str, arrays: Mapping[str, np.ndarray]) -> list[str]:
    return [name.removeprefix(prefix) for name in arrays if name.startswith(prefix)]


def _tensor(name: str, arrays: Mapping[str, np.ndarray]) -> Tensor:
    try:
        return torch.from_numpy(np.array(arrays[name]))
    except TypeError as error:
        raise MeshError(f"{name} must hold numbers, got an array of {arrays[name].dtype}.") from error

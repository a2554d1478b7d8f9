"""Motions as datasets of xarray, with named dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from torch import Tensor

from simlayer.interchange.arrays import CELL_FIELDS, SETS, VERTEX_FIELDS, from_arrays, to_arrays
from simlayer.interchange.motion import BodyMotion, imported
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.validation import MeshError

if TYPE_CHECKING:
    import xarray

DIMENSIONS = {
    "rest_positions": ("vertex", "axis"),
    "cells": ("cell", "node"),
    "cell_regions": ("cell",),
    "positions": ("time", "vertex", "axis"),
}


def to_xarray(
    mesh: Mesh,
    positions: Float[Tensor, "T N 3"],
    *,
    times: Float[Tensor, "T"] | None = None,
    vertex_fields: Mapping[str, Tensor] | None = None,
    cell_fields: Mapping[str, Tensor] | None = None,
) -> xarray.Dataset:
    """Return a body and its motion as a dataset over `time`, `vertex`, `cell`, `axis` (x, y, z) and `node`.

    Vertex sets are booleans over `vertex`, named `vertex_sets.NAME`; fields are `vertex_fields.NAME` and
    `cell_fields.NAME`. Other arguments and errors as for `to_arrays`.

    Raises:
        ImportError: without xarray, which is in the extra `interchange`.
    """
    xarray = imported("xarray")
    arrays = to_arrays(mesh, positions, times=times, vertex_fields=vertex_fields, cell_fields=cell_fields)
    coordinates = {"time": arrays.pop("times"), "region": arrays.pop("region_names"), "axis": list("xyz")}
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    for name, values in arrays.items():
        if name.startswith(SETS):
            variables[name] = (("vertex",), np.isin(np.arange(len(mesh.vertices)), values))
        elif name.startswith((VERTEX_FIELDS, CELL_FIELDS)):
            over = "vertex" if name.startswith(VERTEX_FIELDS) else "cell"
            further = tuple(f"{name}_{k}" for k in range(values.ndim - 2))
            variables[name] = (("time", over, *further), values)
        else:
            variables[name] = (DIMENSIONS[name], values)
    dataset = xarray.Dataset(variables, coordinates)
    for name, unit in (("time", "s"), ("positions", "m"), ("rest_positions", "m")):
        dataset[name].attrs["units"] = unit
    return dataset


def from_xarray(dataset: xarray.Dataset) -> BodyMotion:
    """Return the body and the motion in a dataset that `to_xarray` has made.

    Raises:
        ImportError: without xarray, which is in the extra `interchange`.
        MeshError: if a variable is missing, or they do not fit each other.
    """
    xarray = imported("xarray")
    if not isinstance(dataset, xarray.Dataset):
        raise MeshError(
            f"dataset must be an xarray.Dataset, as to_xarray makes it, got {type(dataset).__name__}."
        )
    arrays = {str(name): variable.to_numpy() for name, variable in dataset.data_vars.items()}
    arrays = {name: a.nonzero()[0] if name.startswith(SETS) else a for name, a in arrays.items()}
    renamed = {"times": "time", "region_names": "region"}
    arrays |= {name: dataset[key].to_numpy() for name, key in renamed.items() if key in dataset}
    return from_arrays(arrays)

"""The final positions of all vertices as observations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor, nn

from simlayer.app.data import Data
from simlayer.errors import ObservationError
from simlayer.identification.sensors import Vertices
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.meshio_files import file_points, load
from simlayer.plotting import target_picture


@dataclass(kw_only=True, eq=False)
class FinalPositions(Data):
    """The positions of all vertices at the end: a mesh file of the deformed body, or an (N, 3) array in .npy.

    Args:
        scale: length of the file's unit [m].
    """

    scale: float = 1.0

    def sensors(self, mesh: Mesh) -> nn.Module:
        return Vertices()

    def times(self, duration: Callable[[], float], release_time: float) -> Float[Tensor, "T"]:
        return torch.tensor([release_time + duration()], dtype=torch.float64)

    def picture(
        self,
        mesh: Mesh,
        times: Tensor,
        observed: Float[Tensor, "T K 3"],
        simulated: Mapping[str, Tensor],
        **beside: Any,
    ) -> Figure:
        ends = {title: points[-1] for title, points in simulated.items()}
        return target_picture(mesh, ends, observed[-1], **beside)

    def recorded(self, mesh: Mesh) -> Float[Tensor, "T K 3"]:
        assert self.path is not None
        points = torch.from_numpy(_read_points(Path(self.path))) * self.scale
        if len(points) != len(mesh.file_vertices):
            raise ObservationError(
                f"{self.path} has {len(points)} positions, but {mesh.source} has {len(mesh.file_vertices)} "
                "nodes: the target has to be the same mesh, deformed, with its nodes in the same order."
            )
        if not bool(mesh.from_file_order(points).isfinite().any()):
            raise ObservationError(f"{self.path} has no finite position.")
        return mesh.from_file_order(points).to(mesh.vertices)[None]


def _read_points(path: Path) -> Float[np.ndarray, "N 3"]:
    if path.suffix.lower() != ".npy":
        return file_points(load(path), path)
    if not path.is_file():
        raise ObservationError(f"{path} does not exist (looked from {Path.cwd()}).")
    try:
        points = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ObservationError(f"{path} could not be read as a NumPy array: {error}") from error
    if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind not in "fiu":
        raise ObservationError(
            f"{path} must hold numbers of shape (N, 3), got {points.dtype} {points.shape}."
        )
    return points.astype(np.float64)

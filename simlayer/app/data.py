"""What was seen of a body: read from a file, or simulated by a twin whose parameters are known."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor, nn

from simlayer.app.plots import body_picture
from simlayer.errors import ObservationError
from simlayer.identification.sensors import Vertices
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.meshio_files import file_points, load

TWINS = ("same", "refined")


class Data(ABC):
    """What was seen, and through which sensors, and when.

    Args:
        path: the file; None for a twin, to which the other arguments apply.
        twin: "same": simulated on the fit's own mesh and with its step, so that the truth can be found
            exactly; "refined": on a mesh with every cell cut into eight, which shows the bias of the mesh.
        noise: standard deviation of each coordinate [m].
        missing: the share of points that are not seen.
        seed: of both.
        truth: physical values by name, nested as the names are by their dots.
    """

    def __init__(
        self,
        *,
        path: str | None = None,
        twin: str = "same",
        noise: float = 0.0,
        missing: float = 0.0,
        seed: int = 0,
        truth: Mapping[str, Any] | None = None,
    ) -> None:
        if twin not in TWINS:
            raise ObservationError(f"data.twin must be one of {', '.join(TWINS)}, got {twin!r}.")
        if not (noise >= 0 and 0 <= missing < 1):
            raise ObservationError(
                f"data needs noise >= 0 [m] and missing in [0, 1), got {noise} and {missing}."
            )
        self.path = None if path is None else Path(path)
        self.twin, self.noise, self.missing, self.seed = twin, noise, missing, seed
        self.truth = flattened(truth or {})

    @abstractmethod
    def sensors(self, mesh: Mesh) -> nn.Module:
        """What sees the points, on this mesh or a refinement of it."""

    @abstractmethod
    def times(self, duration: Callable[[], float], release_time: float) -> Float[Tensor, "T"]:
        """When they are seen [s]: by the clock of the file, or until a duration after the release."""

    @abstractmethod
    def recorded(self, mesh: Mesh) -> Float[Tensor, "T K 3"]:
        """What `path` holds."""

    @abstractmethod
    def picture(
        self, mesh: Mesh, times: Tensor, seen: Float[Tensor, "T K 3"], simulated: Mapping[str, Tensor]
    ) -> Figure:
        """Simulated points, by title, over those seen."""

    def described(self) -> str:
        """What was seen, in a line."""
        if self.path is not None:
            return str(self.path)
        mesh = "the fit's own mesh and step" if self.twin == "same" else "a mesh of eight times the cells"
        noise = f", noise {1e3 * self.noise:g} mm" if self.noise else ""
        gaps = f", {self.missing:.0%} missing" if self.missing else ""
        truth = ", ".join(
            f"{name.rpartition('.')[2]} = {'a field' if callable(value) else value}"
            for name, value in self.truth.items()
        )
        return f"a simulated twin on {mesh}{noise}{gaps}; hidden from the fit: {truth}"

    def true_value(self, name: str, mesh: Mesh) -> Any:
        """The twin's value of a quantity: a number or several, or what a function makes of the mesh."""
        value = self.truth[name]
        return value(mesh) if callable(value) else value

    def disturbed(self, seen: Float[Tensor, "*batch T K 3"]) -> Float[Tensor, "*batch T K 3"]:
        """What a twin's points become by noise and gaps."""
        generator = torch.Generator().manual_seed(self.seed)
        # In double precision, so that the noise does not depend on the dtype of the run.
        noise = torch.randn(seen.shape, generator=generator, dtype=torch.float64)
        gaps = torch.rand(seen.shape[:-1], generator=generator, dtype=torch.float64) < self.missing
        return (seen + self.noise * noise.to(seen)).masked_fill(gaps[..., None].to(seen.device), torch.nan)


class FinalPositions(Data):
    """The positions of all vertices at the end: a mesh file of the deformed body, or an (N, 3) array in .npy.

    Args:
        scale: of the file's unit in m.
        options: as for `Data`.
    """

    def __init__(self, *, scale: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.scale = scale

    def sensors(self, mesh: Mesh) -> nn.Module:
        return Vertices()

    def times(self, duration: Callable[[], float], release_time: float) -> Float[Tensor, "T"]:
        return torch.tensor([release_time + duration()], dtype=torch.float64)

    def picture(
        self, mesh: Mesh, times: Tensor, seen: Float[Tensor, "T K 3"], simulated: Mapping[str, Tensor]
    ) -> Figure:
        ends = {title: points[-1] for title, points in simulated.items()}
        return body_picture(ends, seen[-1], mesh.boundary)

    def recorded(self, mesh: Mesh) -> Float[Tensor, "T K 3"]:
        assert self.path is not None
        points = torch.from_numpy(_points(self.path)) * self.scale
        if len(points) != len(mesh.file_vertices):
            raise ObservationError(
                f"{self.path} has {len(points)} positions, but {mesh.source} has {len(mesh.file_vertices)} "
                "nodes: the target has to be the same mesh, deformed, with its nodes in the same order."
            )
        if not bool(mesh.from_file_order(points).isfinite().any()):
            raise ObservationError(f"{self.path} has no finite position.")
        return mesh.from_file_order(points).to(mesh.vertices)[None]


def _points(path: Path) -> Float[np.ndarray, "N 3"]:
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


def flattened(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a nested mapping by their dotted names."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{rest}": leaf for rest, leaf in flattened(value).items()}
        elif value is not None:
            flat[str(key)] = value
    return flat

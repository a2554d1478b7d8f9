"""Observations of a body: read from a file, or simulated by a twin with given parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor, nn

from simlayer.app.config_tree import flatten
from simlayer.errors import ObservationError
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.named import full_name

TWINS = ("same", "refined")


@dataclass(kw_only=True, eq=False)
class Data(ABC):
    """Observations, with their sensors and times.

    Args:
        path: the file; None for a twin, to which the other arguments apply.
        twin: "same": simulated on the fit's own mesh and with its step, so that the truth can be found
            exactly; "refined": on a mesh with every cell cut into eight, which shows the bias of the mesh.
        noise: standard deviation of each coordinate [m].
        missing: share of the points that are not observed.
        seed: seed of noise and gaps.
        truth: physical values by name, possibly nested along the dots of the names.
    """

    path: str | None = None
    twin: str = "same"
    noise: float = 0.0
    missing: float = 0.0
    seed: int = 0
    truth: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.twin not in TWINS:
            raise ObservationError(f"data.twin must be one of {', '.join(TWINS)}, got {self.twin!r}.")
        if not (self.noise >= 0 and 0 <= self.missing < 1):
            raise ObservationError(
                f"data needs noise >= 0 [m] and missing in [0, 1), got {self.noise} and {self.missing}."
            )
        self.truth = flatten(self.truth)

    @abstractmethod
    def sensors(self, mesh: Mesh) -> nn.Module:
        """Return the sensors of the points on this mesh, or on a refinement of it."""

    @abstractmethod
    def times(self, duration: Callable[[], float], release_time: float) -> Float[Tensor, "T"]:
        """Return the times of the observations [s], by the file's clock or from the release on."""

    @property
    def default_release(self) -> float:
        """The release time by the file's clock [s] unless another is given."""
        return 0.0

    @abstractmethod
    def recorded(self, mesh: Mesh) -> Float[Tensor, "T K 3"]:
        """Return the observations in the file."""

    @abstractmethod
    def picture(
        self,
        mesh: Mesh,
        times: Tensor,
        observed: Float[Tensor, "T K 3"],
        simulated: Mapping[str, Tensor],
        **beside: Any,
    ) -> Figure:
        """Draw simulated points, by title, over the observed ones, and what is `beside` the body."""

    def description(self) -> str:
        """Return one line about where the observations come from."""
        if self.path is not None:
            return self.path
        mesh = "the fit's own mesh and step" if self.twin == "same" else "a mesh of eight times the cells"
        noise = f", noise {1e3 * self.noise:g} mm" if self.noise else ""
        gaps = f", {self.missing:.0%} missing" if self.missing else ""
        truth = ", ".join(
            f"{name.rpartition('.')[2]} = {'a field' if callable(value) else value}"
            for name, value in self.truth.items()
        )
        return f"a simulated twin on {mesh}{noise}{gaps}; hidden from the fit: {truth}"

    def true_values(self, mesh: Mesh, names: Collection[str]) -> dict[str, Any]:
        """Return the twin's values by full name, numbers or what a function computes from the mesh.

        Raises:
            KeyError: if one of them is not the end of exactly one of `names`.
        """
        values: dict[str, Any] = {}
        for name, value in self.truth.items():
            if (full := full_name(name, names)) in values:
                raise KeyError(f"data.truth has two values for {full}; keep one.")
            values[full] = value(mesh) if callable(value) else value
        return values

    def disturb(self, points: Float[Tensor, "*batch T K 3"]) -> Float[Tensor, "*batch T K 3"]:
        """Return a twin's points with noise and gaps."""
        generator = torch.Generator().manual_seed(self.seed)
        # In double precision, so that the noise does not depend on the dtype of the run.
        noise = torch.randn(points.shape, generator=generator, dtype=torch.float64)
        gaps = torch.rand(points.shape[:-1], generator=generator, dtype=torch.float64) < self.missing
        return (points + self.noise * noise.to(points)).masked_fill(
            gaps[..., None].to(points.device), torch.nan
        )

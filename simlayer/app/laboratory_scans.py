"""Tests of a configuration that are scans: their points from a file, or of a simulated specimen."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.errors import ConfigError
from simlayer.identification.closest_points import signed_distances
from simlayer.laboratory.read_scan import read_scan
from simlayer.laboratory.scan_test import ScanTest
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.arguments import checked_flag, checked_integer, checked_number
from simlayer.steps.base import Step
from simlayer.steps.equilibrium import Equilibrium

# The number of points of a simulated scan, and how far its outliers are off, as a share of the body's size.
_COUNT, _ASIDE = 1000, 0.1


class Scan(NamedTuple):
    """The points of a scan.

    Attributes:
        points: where they are [m].
        outliers: the share of points of a simulated scan that do not lie on the surface.
    """

    points: Float[Tensor, "K 3"]
    outliers: float = 0.0


def read_points(given: Mapping[str, Any]) -> Scan:
    """Return the points in the file of a test, or `count` of them at even intervals.

    Raises:
        ObservationError: if the file is not as described.
    """
    with warnings.catch_warnings():
        # A warning about the size is not needed, because it is compared with that of the specimen.
        warnings.simplefilter("ignore", UserWarning)
        points = read_scan(given["path"], unit=given.get("unit"), scale=given.get("scale"))
    count = checked_integer("count", given.get("count", len(points)), least=1)
    if count < len(points):
        points = points[torch.linspace(0, len(points) - 1, count).round().long()]
    return Scan(points)


def build_scan_test(step: Step, scan: Scan, given: Mapping[str, Any], *, name: str) -> ScanTest:
    """Return the test of a specimen with the points that were scanned of it."""
    if not isinstance(step, Equilibrium):
        raise ConfigError(
            "a scan is that of a state of rest: set step=equilibrium (step of this test, or of all)."
        )
    return ScanTest(
        step,
        scan.points,
        outlier_distance=given.get("outlier_distance"),
        surface_reach=given.get("surface_reach"),
        rigid_motion=checked_flag("rigid_motion", given.get("rigid_motion", False)),
        noise=given.get("noise"),
        name=name,
    )


def planned_scan(mesh: Mesh, given: Mapping[str, Any]) -> Scan:
    """Return the points of a simulated scan, on the specimen at rest."""
    count = checked_integer("count", given.get("count", _COUNT), least=1)
    outliers = checked_number("outliers", given.get("outliers", 0.0), least=0.0, below=0.5)
    generator = torch.Generator().manual_seed(0)
    return Scan(_on_surface(mesh.vertices.double().cpu(), mesh.boundary.cpu(), count, generator), outliers)


def simulated_scan(test: ScanTest, plan: Scan, *, noise: float, generator: torch.Generator) -> Scan:
    """Return as many points of the surface of a specimen under its load as were planned.

    Args:
        test: the specimen.
        plan: how many points, and how many outliers.
        noise: the standard deviation of each coordinate, as a share of the root mean square of the distances
            from the rest shape.
        generator: the source of random numbers.
    """
    mesh, end = test.step.elements.mesh, test.frames().positions[-1].double().cpu()
    surface, count = mesh.boundary.cpu(), len(plan.points)
    points = _on_surface(end, surface, count, generator)
    moved = signed_distances(points, mesh.vertices.double().cpu(), surface).square().mean().sqrt()
    points = points + noise * moved * torch.randn(count, 3, generator=generator, dtype=torch.float64)
    size = _ASIDE * float((mesh.bounds[1] - mesh.bounds[0]).max())
    beside = torch.rand(count, 1, generator=generator) < plan.outliers
    aside = size * (2 * torch.rand(count, 3, generator=generator, dtype=torch.float64) - 1)
    return plan._replace(points=points + beside * aside)


def _on_surface(
    positions: Float[Tensor, "N 3"], triangles: Int[Tensor, "S 3"], count: int, generator: torch.Generator
) -> Float[Tensor, "K 3"]:
    """Return random points that are uniformly distributed over a surface."""
    corners = positions[triangles]
    areas = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=1)
    chosen = corners[areas.multinomial(count, replacement=True, generator=generator)]
    # Uniform in each triangle: logarithms of uniform numbers, over their sum.
    shares = -torch.rand(count, 3, generator=generator, dtype=torch.float64).clamp(min=1e-12).log()
    return ((shares / shares.sum(1, keepdim=True))[..., None] * chosen).sum(1)

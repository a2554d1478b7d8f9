"""Scans moved onto a body: back to where they were made, with outliers, gaps and noise."""

import re

import pytest
import torch
from support.scenes import noise

from simlayer import ConvergenceError, ObservationError, box_mesh
from simlayer.laboratory import align_scan
from simlayer.linalg.rotation import rotation_matrix

pytestmark = pytest.mark.usefixtures("float64")


def body():
    return box_mesh(cells=(8, 2, 1), size=(0.1, 0.03, 0.02))


def scan(count=400):
    """Points of the surface of the body, in order of no part of it."""
    mesh, generator = body(), torch.Generator().manual_seed(0)
    corners = mesh.vertices[mesh.boundary[torch.randint(len(mesh.boundary), (count,), generator=generator)]]
    weights = -torch.rand(count, 3, generator=generator).log()
    return ((weights / weights.sum(1, keepdim=True))[..., None] * corners).sum(1)


def turned(points, degrees):
    axis = torch.tensor([0.3, -0.7, 0.5]) / 0.83**0.5
    return points @ rotation_matrix(axis * torch.pi / 180 * degrees).T + torch.tensor([0.003, -0.002, 0.004])


@pytest.mark.parametrize("degrees", [0, 5, 20])
def test_a_scan_without_noise_comes_back_exactly(degrees):
    found = align_scan(turned(scan(), degrees), body())
    torch.testing.assert_close(found.points, scan(), rtol=0, atol=1e-9)
    torch.testing.assert_close(found.rotation.T @ found.rotation, torch.eye(3))
    moved = turned(scan(), degrees) @ found.rotation.T + found.translation
    torch.testing.assert_close(moved, found.points)


def test_outliers_and_gaps_do_not_move_it():
    points = turned(scan(), 5) + 1e-4 * noise(400, 3, seed=1)
    points[:40] += 0.02 * noise(40, 3, seed=2)
    points[40:60] = torch.nan
    found = align_scan(points, body(), outlier_distance=4e-4)
    assert bool(found.points[40:60].isnan().all())
    # The motion has a few tenths of the noise of the points, which they keep.
    truth = turned(scan(), 5) @ found.rotation.T + found.translation
    assert float((truth - scan()).norm(dim=1).max()) < 1e-4
    plain = align_scan(points, body())
    beside = turned(scan(), 5) @ plain.rotation.T + plain.translation
    assert float((beside - scan()).norm(dim=1).max()) > 3e-4


def test_it_goes_onto_a_body_with_other_positions():
    positions = 1.5 * body().vertices
    found = align_scan(turned(1.5 * scan(), 5), body(), positions=positions)
    torch.testing.assert_close(found.points, 1.5 * scan(), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("points", "options", "error", "message"),
    [
        (lambda p: 1000 * p, {}, ObservationError, "are they in millimetres?"),
        (lambda p: p + 1.0, {}, ObservationError, "move the scan into the frame of the mesh"),
        (lambda p: p[:, :2], {}, ObservationError, "points must be of shape (K, 3)"),
        (lambda p: p * torch.nan, {}, ObservationError, "nothing was measured"),
        (lambda p: turned(p, 20), {"max_steps": 1}, ConvergenceError, "bring the scan nearer"),
        (lambda p: p, {"positions": torch.zeros(2, 3)}, ValueError, "positions must be those of the 54 vert"),
        (lambda p: p, {"outlier_distance": 0.0}, ValueError, "outlier_distance must be"),
    ],
)
def test_what_cannot_be_aligned_is_refused_with_a_remedy(points, options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        align_scan(points(scan()), body(), **options)

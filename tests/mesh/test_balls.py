"""Balls made of boxes."""

import math

import pytest
import torch

from simlayer import MeshError, ball_mesh, to_quadratic_elements

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("element", ["tet4", "hex8"])
@pytest.mark.parametrize("cells", [1, 2, 5])
def test_the_surface_of_a_ball_lies_on_the_sphere(cells, element):
    mesh = ball_mesh(cells, radius=0.3, center=(1.0, 2.0, -1.0), element=element)
    distances = (mesh.vertices - torch.tensor([1.0, 2.0, -1.0])).norm(dim=1)
    surface = mesh.boundary.unique()
    # Rounding of coordinates of size two.
    assert torch.allclose(distances[surface], torch.tensor(0.3), rtol=0, atol=1e-15 * 4)
    assert (distances <= 0.3 + 1e-15 * 4).all()
    assert mesh.element == element


def test_the_volume_of_a_ball_converges_in_second_order():
    exact = 4 / 3 * math.pi
    coarse, fine = (exact - float(volume(ball_mesh(n, radius=1.0))) for n in (4, 8))
    assert 0 < fine < 0.02 * exact
    assert coarse / fine == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize("element", ["tet4", "hex8"])
def test_a_ball_can_be_made_of_quadratic_elements(element):
    mesh = ball_mesh(2, radius=1.0, element=element)
    assert len(to_quadratic_elements(mesh).cells) == len(mesh.cells)


def volume(mesh):
    edges = mesh.vertices[mesh.cells[:, 1:]] - mesh.vertices[mesh.cells[:, :1]]
    return torch.linalg.det(edges).sum() / 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": 0.0}, "radius must be a positive finite length in m, got 0.0"),
        ({"radius": math.nan}, "radius must be a positive finite length"),
        (
            {"radius": 1.0, "center": (0.0, 0.0)},
            r"center must be three finite coordinates in m, got \(0.0, 0.0\)",
        ),
        ({"radius": 1.0, "element": "tet10"}, r"element must be one of \('tet4', 'hex8'\), got 'tet10'"),
        ({"radius": 1.0, "center": (0.0, 0.0, math.inf)}, "center must be three finite coordinates"),
    ],
)
def test_what_is_no_ball_is_refused(options, message):
    with pytest.raises(MeshError, match=message):
        ball_mesh(2, **options)


def test_a_ball_of_no_cells_is_refused():
    with pytest.raises(MeshError, match="cells must be three whole numbers"):
        ball_mesh(0, radius=1.0)

"""Where points lie in a mesh."""

import pytest
import torch

from simlayer import box_mesh
from simlayer.fem import point_location
from simlayer.fem.point_location import locate_points

pytestmark = pytest.mark.usefixtures("float64")

SIZE = (1.0, 0.8, 0.6)


@pytest.mark.parametrize("element", ["tet4", "tet10", "hex8", "hex20"])
def test_points_are_located_all_at_once_as_one_by_one(element, monkeypatch):
    mesh = box_mesh(cells=(3, 2, 2), size=SIZE, element=element)
    inside = torch.rand(50, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor(SIZE)
    just_outside = torch.tensor([[-0.004, 0.3, 0.2], [0.5, 0.804, 0.2]])
    points = torch.cat([inside, just_outside, mesh.vertices[:5]])
    cells, weights = locate_points(mesh, points)
    # Points just outside belong to the nearest face, where their functions continue.
    torch.testing.assert_close((weights[..., None] * mesh.vertices[mesh.cells[cells]]).sum(1), points)
    monkeypatch.setattr(point_location, "_PAIRS", 1)
    alone = locate_points(mesh, points)
    assert torch.equal(cells, alone[0])
    torch.testing.assert_close(weights, alone[1])


def test_a_point_far_from_all_cells_is_named():
    mesh = box_mesh(cells=(1, 1, 1), size=SIZE)
    with pytest.raises(ValueError, match=r"point 1, .* outside"):
        locate_points(mesh, torch.tensor([[0.1, 0.1, 0.1], [5.0, 0.0, 0.0]]))

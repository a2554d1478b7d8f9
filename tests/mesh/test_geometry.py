"""Volumes of tetrahedra, and keys of rows of indices."""

import torch

from simlayer.mesh import geometry
from simlayer.mesh.geometry import longest_edges, row_keys, signed_volumes


def test_volumes_equal_the_determinant_over_six():
    vertices = torch.rand(20, 3, dtype=torch.float64)
    cells = torch.stack([torch.randperm(20)[:4] for _ in range(50)])
    corners = vertices[cells]
    determinants = torch.linalg.det(corners[:, 1:] - corners[:, :1])
    # Both are sums of six products of numbers below 1 in double precision.
    assert torch.allclose(signed_volumes(vertices, cells), determinants / 6, rtol=0, atol=1e-15)


def test_the_longest_edge_is_the_largest_distance_of_two_corners():
    vertices = torch.rand(20, 3, dtype=torch.float64)
    cells = torch.stack([torch.randperm(20)[:4] for _ in range(50)])
    distances = torch.cdist(vertices[cells], vertices[cells]).flatten(1).amax(1)
    # cdist may subtract squares, which leaves half the digits.
    assert torch.allclose(longest_edges(vertices, cells), distances, rtol=1e-7, atol=0)


def test_rows_have_equal_keys_exactly_where_they_hold_the_same_indices(monkeypatch):
    rows = torch.randint(0, 4, (300, 3))
    ordered = rows.sort(1).values
    same = (ordered[:, None] == ordered[None]).all(2)
    for largest in (
        2**63 - 1,
        20,
    ):  # 20 makes the keys overflow at once, as on meshes of millions of vertices
        monkeypatch.setattr(geometry, "LARGEST_KEY", largest)
        keys = row_keys(rows, 4)
        assert torch.equal(keys[:, None] == keys[None], same)

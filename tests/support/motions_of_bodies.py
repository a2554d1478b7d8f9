"""A small body in motion, with fields, for the tests of what other packages keep of it."""

from __future__ import annotations

from typing import Any

import torch

from simlayer import Mesh, box_mesh
from simlayer.interchange import BodyMotion


def body(element: str) -> Mesh:
    """A box of two regions."""
    cells = (1, 1, 1) if element == "tet4" else (2, 1, 1)
    box = box_mesh(cells=cells, size=(0.2, 0.1, 0.1), element=element)
    regions = torch.zeros(len(box.cells), dtype=torch.long)
    regions[-1] = 1
    return Mesh(
        box.vertices,
        box.cells,
        vertex_sets=box.vertex_sets,
        cell_regions=regions,
        region_names=("soft part", "stiff part"),
    )


def motion_of(mesh: Mesh) -> dict[str, Any]:
    """Three frames of it, and a field of numbers, one of vectors, and one per cell, as arguments."""
    random = torch.Generator().manual_seed(0)
    shape = (3, len(mesh.vertices), 3)
    moved = mesh.vertices + 0.01 * torch.randn(shape, generator=random)
    speeds = torch.rand(shape, generator=random)
    return {
        "mesh": mesh,
        "positions": moved,
        "times": torch.tensor([0.0, 0.1, 0.25]),
        "vertex_fields": {"velocity [m/s]": speeds, "speed [m/s]": speeds.norm(dim=-1)},
        "cell_fields": {"stress [Pa]": torch.rand(3, len(mesh.cells), generator=random)},
    }


def assert_same(found: BodyMotion, *, names: bool = True, **given: Any) -> None:
    """Assert that a motion is the given one; the names of regions and sets only if they are kept."""
    mesh: Mesh = given["mesh"]
    torch.testing.assert_close(found.mesh.vertices, mesh.vertices, rtol=0, atol=0)
    assert torch.equal(found.mesh.cells, mesh.cells)
    assert torch.equal(found.mesh.cell_regions, mesh.cell_regions)
    if names:
        assert found.mesh.region_names == mesh.region_names
        assert found.mesh.vertex_sets.keys() == mesh.vertex_sets.keys()
        assert all(torch.equal(found.mesh.vertex_sets[n], chosen) for n, chosen in mesh.vertex_sets.items())
    assert torch.equal(found.positions, given["positions"])
    assert torch.equal(found.times, given["times"])
    for kind in ("vertex_fields", "cell_fields"):
        fields = getattr(found, kind)
        assert fields.keys() == given[kind].keys()
        assert all(torch.equal(fields[name], values) for name, values in given[kind].items())

"""Motions as grids of PyVista, where it is installed: it is half a gigabyte with VTK."""

from __future__ import annotations

import pytest
import torch
from support.motions_of_bodies import assert_same, body, motion_of

from simlayer import MeshError
from simlayer.interchange import from_pyvista, to_pyvista

pytestmark = pytest.mark.usefixtures("float64")
pyvista = pytest.importorskip("pyvista", reason="PyVista is not installed")


@pytest.mark.parametrize("element", ["tet4", "tet10", "hex8", "hex20"])
@pytest.mark.filterwarnings("ignore:.*regions")
def test_a_body_and_its_motion_come_back_without_the_names_of_regions(element):
    given = motion_of(body(element))
    assert_same(from_pyvista(to_pyvista(**given)), names=False, **given)


def test_vtk_finds_the_volume_of_a_cell_that_simlayer_finds():
    given = motion_of(body("tet4"))
    grid = to_pyvista(given["mesh"], given["mesh"].vertices[None])[0]
    assert grid.compute_cell_sizes()["Volume"].sum() == pytest.approx(2e-3)


def test_what_is_no_motion_is_refused_with_the_remedy():
    grid = to_pyvista(**motion_of(body("tet4")))[0]
    with pytest.raises(MeshError, match="mesh_from"):
        from_pyvista(grid)
    grid.point_data.clear()
    with pytest.raises(MeshError, match="rest position"):
        from_pyvista(pyvista.MultiBlock([grid]))


def test_a_surface_is_drawn_with_its_field():
    grid = to_pyvista(**motion_of(body("hex8")))[1]
    assert torch.from_numpy(grid["speed [m/s]"]).shape == (len(grid.points),)

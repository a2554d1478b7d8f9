"""Fields become colours: on the outside, on a cut, over a common scale."""

import numpy as np
import pytest
import torch
from matplotlib import colormaps
from matplotlib.colors import LogNorm

from simlayer import box_mesh
from simlayer.plotting import angle_view
from simlayer.plotting.coloring import body_part, checked_mesh_field, colors_of, common_scale

VIEW = angle_view(-80, 20)  # from -y


def part(mesh, *, cut):
    return body_part(mesh, mesh.vertices.double().numpy(), VIEW, cut=cut)


def test_a_field_over_cells_is_that_of_the_cell_behind_a_triangle():
    mesh = box_mesh(cells=(3, 2, 2))
    outside = part(mesh, cut=False)
    middles = mesh.vertices[mesh.cells].mean(1).double()
    values = outside.over_triangles(middles[:, 0].numpy(), "cells")
    of_triangles = mesh.vertices[outside.surface.triangles].mean(1)[:, 0].double().numpy()
    # A cell's middle is within a cell of the middle of its face.
    assert np.abs(values - of_triangles).max() < 1 / 3


def test_a_field_over_vertices_is_the_mean_of_the_corners():
    mesh = box_mesh(cells=(3, 2, 2))
    outside = part(mesh, cut=False)
    values = outside.over_triangles(mesh.vertices[:, 1].double().numpy(), "vertices")
    corners = outside.surface.points[outside.surface.triangles]
    assert np.allclose(values, corners[..., 1].mean(1), atol=1e-7)


@pytest.mark.parametrize("element", ["tet4", "hex8", "tet10"])
def test_a_cut_takes_away_the_half_in_front_and_shows_the_inside(element):
    mesh = box_mesh(cells=(2, 4, 2), size=(1.0, 1.0, 1.0), element=element)
    half = part(mesh, cut=True)
    facing = half.surface.facing(VIEW)
    front = half.surface.points[half.surface.triangles[facing]]
    on_cut = np.isclose(front[..., 1], 0.5, atol=0.13).all(1)
    # The cells of the cut are about as wide as those of the front were.
    assert on_cut.sum() >= 8
    assert half.surface.points[half.surface.triangles][..., 1].min() > 0.24
    assert not np.isclose(front[..., 1], 0.0).any()


def test_a_field_that_fits_neither_cells_nor_vertices_or_both_is_refused():
    mesh = box_mesh(cells=(1, 1, 1))
    with pytest.raises(ValueError, match=r"each of 8 vertices or 6 cells, got shape \(5,\)"):
        checked_mesh_field(mesh, torch.ones(5))
    with pytest.raises(ValueError, match=r"each of 8 vertices, got shape \(6,\)"):
        checked_mesh_field(mesh, torch.ones(6), "vertices")
    assert checked_mesh_field(mesh, torch.ones(6))[1] == "cells"
    assert checked_mesh_field(mesh, torch.ones(8))[1] == "vertices"
    both = box_mesh(cells=(2, 1, 1))  # of 12 vertices and 12 cells
    with pytest.raises(ValueError, match='say over="cells" or over="vertices"'):
        checked_mesh_field(both, torch.ones(12))
    assert checked_mesh_field(both, torch.ones(12), "cells")[1] == "cells"


def test_a_common_scale_holds_all_fields_and_is_logarithmic_over_decades():
    a, b = np.array([1.0, 2.0, np.nan]), np.array([3.0])
    scale = common_scale(a, b)
    assert (scale.vmin, scale.vmax) == (1.0, 3.0)
    assert common_scale(a, zero=True).vmin == 0.0
    wide = common_scale(np.array([1.0, 100.0]))
    assert isinstance(wide, LogNorm)
    assert not isinstance(common_scale(np.array([-1.0, 100.0])), LogNorm)
    flat = common_scale(np.array([5.0, 5.0]))
    assert flat.vmin < 5.0 < flat.vmax
    empty = common_scale(np.array([np.nan]))
    assert empty.vmin < empty.vmax
    zero = common_scale(np.zeros(3), zero=True)
    assert (zero.vmin, zero.vmax) == (0.0, 1.0)


def test_what_is_missing_is_grey():
    values = np.array([0.0, np.nan, 1.0])
    colors = colors_of(values, common_scale(values), colormaps["viridis"])
    assert len(set(colors[1, :3])) == 1
    assert len(set(colors[0, :3])) == len(set(colors[2, :3])) == 3

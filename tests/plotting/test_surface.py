"""What is drawn of a surface faces the viewer, and nothing covers it that is behind."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from simlayer import box_mesh
from simlayer.plotting import angle_view, body_view
from simlayer.plotting.surface import Surface, draw_polygons, draw_shadow, edge_lines, shaded_triangles


def surface_of(mesh):
    return Surface(mesh.vertices.double().numpy(), mesh.boundary.numpy())


def white(surface):
    return np.ones((len(surface.triangles), 4))


@pytest.mark.parametrize("element", ["tet4", "tet10", "hex8", "hex20"])
def test_half_of_the_triangles_of_a_box_face_the_viewer(element):
    mesh = box_mesh(cells=(2, 1, 1), element=element)
    surface = surface_of(mesh)
    view = body_view(mesh.vertices)
    drawn = shaded_triangles(surface, view, white(surface))
    assert len(drawn.corners) == len(mesh.boundary) // 2
    a, b, c = drawn.corners.transpose(1, 0, 2)
    assert (np.cross(b - a, c - a) @ view.towards > 0).all()


def test_triangles_without_a_place_or_an_area_are_not_drawn():
    mesh = box_mesh(cells=(1, 1, 1))
    points = mesh.vertices.double().numpy().copy()
    view = angle_view(-60, 30)
    whole = shaded_triangles(Surface(points, mesh.boundary.numpy()), view, np.ones((12, 4)))
    points[0] = np.nan
    part = shaded_triangles(Surface(points, mesh.boundary.numpy()), view, np.ones((12, 4)))
    assert 0 < len(part.corners) < len(whole.corners)
    assert np.isfinite(part.corners).all()
    flat = Surface(np.zeros((8, 3)), mesh.boundary.numpy())
    assert len(shaded_triangles(flat, view, np.ones((12, 4))).corners) == 0


def test_what_is_nearer_is_drawn_later():
    """Two boxes in a line of sight: every triangle of the near one comes after those of the far one."""
    mesh = box_mesh(cells=(2, 2, 2), size=(1.0, 1.0, 1.0))
    view = angle_view(-90, 0)
    far, near = surface_of(mesh), surface_of(mesh)
    near = near._replace(points=near.points - np.array([0.0, 2.0, 0.0]))
    polygons = [
        part
        for surface, level in ((near, 1.0), (far, 0.5))
        for part in (shaded_triangles(surface, view, np.full((len(surface.triangles), 4), level)),)
    ]
    axes = Figure().subplots()
    colors = draw_polygons(axes, view, *polygons).get_facecolors()
    assert set(colors[: len(colors) // 2, 3]) == {0.5}
    assert set(colors[len(colors) // 2 :, 3]) == {1.0}


def test_the_edges_of_a_box_that_the_viewer_sees_are_nine_and_none_crosses_a_face():
    mesh = box_mesh(cells=(2, 2, 2), size=(1.0, 1.0, 1.0))
    lines = edge_lines(surface_of(mesh), angle_view(-60, 30))
    # Three faces meet in a corner: nine edges, each of two sides of cells.
    assert len(lines.corners) == 18
    on_sides = np.isclose(lines.corners[:, :2], 0) | np.isclose(lines.corners[:, :2], 1)
    assert ((on_sides[:, 0] & on_sides[:, 1]).sum(1) >= 2).all()


def test_an_edge_is_drawn_after_both_triangles_beside_it():
    surface, view = surface_of(box_mesh(cells=(2, 2, 2))), angle_view(-60, 30)
    triangles, lines = shaded_triangles(surface, view, white(surface)), edge_lines(surface, view)
    for corners, depth in zip(lines.corners, lines.depths, strict=True):
        ends = corners[:2]
        beside = [
            near
            for triangle, near in zip(triangles.corners, triangles.depths, strict=True)
            if all((np.abs(triangle - end).max(1) < 1e-12).any() for end in ends)
        ]
        assert beside
        assert all(depth > near for near in beside)


def test_a_face_towards_the_light_keeps_its_colour_and_none_is_much_darker():
    surface = surface_of(box_mesh(cells=(1, 1, 1)))
    drawn = shaded_triangles(surface, angle_view(-60, 30), white(surface))
    assert drawn.faces[:, :3].min() > 0.75
    assert drawn.faces[:, :3].max() <= 1.0
    assert set(drawn.faces[:, 3]) == {1.0}


def test_a_shadow_covers_as_much_as_the_triangles_that_face_the_viewer():
    mesh = box_mesh(cells=(2, 2, 2), size=(0.4, 0.3, 0.2))
    axes = Figure(figsize=(4, 4), dpi=50).add_axes((0, 0, 1, 1))
    draw_shadow(axes, surface_of(mesh), angle_view(-90, 0), (0.0, 0.0, 0.0, 0.5), zorder=1)
    axes.set(xlim=(0.0, 0.4), ylim=(0.0, 0.4))
    axes.set_axis_off()
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(axes.figure)
    canvas.draw()
    pixels = torch.from_numpy(np.asarray(canvas.buffer_rgba()).copy())[..., 0]
    # Half of the paper, in one shade of grey: there is no seam.
    assert float((pixels < 255).float().mean()) == pytest.approx(0.5, abs=0.01)
    assert len(pixels[102:198, 2:198].unique()) == 1

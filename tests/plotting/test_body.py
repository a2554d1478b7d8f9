"""Pictures of a body: what faces the viewer, in the colours of a field, with what holds and touches it."""

import time

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from simlayer import HalfSpace, Sphere, box_mesh
from simlayer.plotting import angle_view, body_picture, body_view, draw_body


def beam(**options):
    return box_mesh(cells=(6, 2, 2), size=(0.1, 0.03, 0.03), **options)


def collections(axes, kind):
    return [each for each in axes.collections if type(each) is kind]


def triangles(axes):
    """The faces that are drawn, without edges."""
    drawn = collections(axes, PolyCollection)[0]
    return drawn.get_facecolors()[drawn.get_facecolors()[:, 3] == 1]


@pytest.mark.parametrize("element", ["tet4", "tet10", "hex8", "hex20"])
def test_the_triangles_that_face_the_viewer_are_drawn(element):
    mesh = beam(element=element)
    axes = Figure().subplots()
    assert draw_body(axes, mesh) is None
    assert len(triangles(axes)) == len(mesh.boundary) // 2
    (drawn,) = collections(axes, PolyCollection)
    assert drawn.get_rasterized()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_positions_and_fields_may_have_any_precision_and_a_graph(dtype):
    mesh = beam()
    positions = (1.1 * mesh.vertices).to(dtype).requires_grad_()
    figure = body_picture(mesh, positions, field=positions[:, 0] ** 2, name="x", unit="m²", fixed="x_min")
    figure.draw_without_rendering()
    assert positions.grad is None
    assert [axes.get_ylabel() for axes in figure.axes] == ["", "x [m²]"]


def test_colours_are_those_of_the_field_in_a_multiple_of_its_unit():
    mesh = beam(element="hex8")
    field = torch.full((len(mesh.cells),), 2e5)
    field[0] = 0.0
    figure = body_picture(mesh, field=field, name="stress", unit="Pa", over="cells")
    body, bar = figure.axes
    assert bar.get_ylabel() == "stress [kPa]"
    assert bar.get_ylim() == (0.0, 200.0)
    # The colour of the upper end of the scale, shaded by at most a quarter.
    colors = triangles(body)[:, :3]
    yellow = colors[colors[:, 0].argmax()] / matplotlib.colormaps["viridis"](1.0)[:3]
    assert yellow == pytest.approx([yellow[0]] * 3)
    assert 0.75 < yellow[0] <= 1


def test_the_view_is_chosen_by_the_rest_shape_or_given():
    mesh = box_mesh(cells=(2, 2, 6), size=(0.02, 0.03, 0.1))
    for view in (None, angle_view(-90, 0)):
        axes = Figure().subplots()
        draw_body(axes, mesh, view=view, marks=False)
        low, high = axes.viewLim.get_points()
        assert ((high - low)[0] > (high - low)[1]) == (view is None)


def test_the_rest_shape_is_drawn_in_thin_lines_where_the_body_has_moved():
    mesh = beam()
    axes = Figure().subplots()
    moved = mesh.vertices + torch.tensor([0.0, 0.0, 0.1])
    draw_body(axes, mesh, moved)
    (lines,) = collections(axes, LineCollection)
    assert max(lines.get_linewidths()) < 1
    view = body_view(mesh.vertices)
    segments = np.concatenate(lines.get_segments())
    corners = view.project(mesh.vertices.double().numpy())
    assert segments.min(0) == pytest.approx(corners.min(0))
    assert segments.max(0) == pytest.approx(corners.max(0))
    bare = Figure().subplots()
    draw_body(bare, mesh, moved, rest=False)
    draw_body(still := Figure().subplots(), mesh)
    assert not collections(bare, LineCollection)
    assert not collections(still, LineCollection)


def test_held_vertices_are_marked_and_pale_on_the_side_that_is_turned_away():
    mesh = beam()
    axes = Figure().subplots()
    draw_body(axes, mesh, fixed="x_min")
    pale, dark = collections(axes, PathCollection)
    held = mesh.vertices[mesh.vertex_sets["x_min"]]
    assert len(pale.get_offsets()) + len(dark.get_offsets()) == len(held)
    assert pale.get_alpha() < dark.get_alpha() == 1.0
    # The end that is held looks away from the viewer, but for its edges.
    assert 0 < len(dark.get_offsets()) < len(held)


def test_obstacles_are_drawn_and_z_is_then_upwards():
    mesh = box_mesh(cells=(2, 2, 6), size=(0.02, 0.03, 0.1))
    axes = Figure().subplots()
    raised = mesh.vertices + torch.tensor([0.0, 0.0, 0.01])
    draw_body(axes, mesh, raised, obstacles=[HalfSpace(), Sphere(0.02, (-0.1, 0.2, 0.03))], rest=False)
    assert len(collections(axes, PolyCollection)) == 2  # the plane, and the rest in the order of depth
    low, high = axes.viewLim.get_points()
    ball = body_view(mesh.vertices, upright=True).project(np.array([-0.1, 0.2, 0.03]))
    assert (low < ball).all()
    assert (ball < high).all()
    draw_body(
        alone := Figure().subplots(), mesh, raised, obstacles=Sphere(0.02, (-0.1, 0.2, 0.03)), rest=False
    )
    assert len(triangles(axes)) == len(triangles(alone)) > len(mesh.boundary) // 2


def test_triangles_with_a_missing_corner_are_left_out_and_missing_values_are_grey():
    mesh = beam()
    positions = mesh.vertices.clone()
    positions[mesh.vertex_sets["x_max"]] = torch.nan
    field = torch.arange(len(mesh.vertices), dtype=torch.float32)
    field[mesh.vertex_sets["x_min"]] = torch.nan
    figure = body_picture(mesh, positions, field=field, fixed="x_min")
    figure.draw_without_rendering()
    colors = triangles(figure.axes[0])
    assert 0 < len(colors) < len(mesh.boundary) // 2
    grey = np.ptp(colors[:, :3], axis=1) == 0
    assert 0 < grey.sum() < len(colors)


def test_limits_hold_what_the_picture_is_around():
    mesh = beam()
    axes = Figure().subplots()
    around = torch.tensor([[[0.3, 0.0, 0.0]], [[0.0, 0.0, 0.5]]])
    draw_body(axes, mesh, around=around)
    low, high = axes.viewLim.get_points()
    places = body_view(mesh.vertices).project(around.double().numpy().reshape(-1, 3))
    assert (places > low).all()
    assert (places < high).all()


def test_a_cut_is_drawn_beside_the_outside_with_equal_scales():
    mesh = beam()
    figure = body_picture(mesh, field=torch.ones(len(mesh.cells)), over="cells", cut=True, unit="Pa")
    outside, cut, bar = figure.axes
    assert cut.get_title() == "behind a cut through the middle"
    assert outside.get_xlim() == cut.get_xlim()
    assert outside.get_ylim() == cut.get_ylim()
    assert bar.get_ylabel() == "[Pa]" or bar.get_ylabel().endswith("[Pa]")


def test_a_scale_may_be_given_and_is_what_is_returned():
    scale = Normalize(0, 7)
    mesh = beam()
    drawn = draw_body(Figure().subplots(), mesh, field=mesh.vertices[:, 0], scale=scale, colors="YlOrRd")
    assert drawn.norm is scale
    assert drawn.cmap.name == "YlOrRd"


def test_a_picture_of_ten_thousand_triangles_takes_less_than_a_second():
    mesh = box_mesh(cells=(41, 24, 24), size=(2.0, 0.5, 0.5), element="hex8")
    assert len(mesh.boundary) > 10_000
    field = mesh.vertices[:, 0]
    body_picture(beam()).savefig("/dev/null", format="png")  # what is loaded once
    began = time.process_time()
    body_picture(mesh, 1.1 * mesh.vertices, field=field).savefig("/dev/null", format="png", dpi=150)
    # Of this process, on a machine that others use, too.
    assert time.process_time() - began < 1.0

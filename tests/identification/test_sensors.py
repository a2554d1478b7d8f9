"""Sensors: markers move with the body that they are fixed to, and turn with it on their stand-offs."""

import math
import re

import pytest
import torch
from support.materials import deformations, matrix, rotations
from support.meshes import DEGREES, ELEMENTS, wavy
from torch.autograd import gradcheck, gradgradcheck

from simlayer import Mesh, ObservationError, box_mesh
from simlayer.elements.types import ELEMENT_TYPES
from simlayer.fem.point_location import distances_to_triangles
from simlayer.identification.sensors import FunctionSensors, Markers, Vertices
from simlayer.linalg.polar import polar_rotation

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def mesh():
    return box_mesh(cells=(6, 2, 2), size=(0.1, 0.03, 0.03))


def points():
    """Inside a cell, on a face, on an edge and at a corner of the body."""
    return torch.tensor([[0.0512, 0.0113, 0.0207], [0.1, 0.015, 0.02], [0.07, 0.0, 0.0], [0.1, 0.03, 0.03]])


def standoffs():
    return 1e-3 * torch.tensor([[0.0, 0.0, 6.0], [6.0, 0.0, 0.0], [0.0, -6.0, 0.0], [0.0, 0.0, 0.0]])


# The rotation of a polar decomposition.


def by_singular_values(F):
    U, _, Vh = torch.linalg.svd(F)
    sign = torch.linalg.det(U @ Vh)
    return (U * torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], -1)[..., None, :]) @ Vh


def polar(F):
    return torch.stack(tuple(polar_rotation(matrix(F))), -1).unflatten(-1, (3, 3))


def test_the_rotation_is_that_of_the_singular_value_decomposition():
    inverted = (rotations(200) * torch.tensor([1.5, 1.0, -0.6])) @ rotations(200)
    for F in (deformations(200, stretches=(0.2, 3.0)), inverted):
        # Rounding, times the condition of the quartic's root.
        torch.testing.assert_close(polar(F), by_singular_values(F), rtol=0, atol=1e-12)


def test_a_rotation_is_its_own_at_any_scale():
    R = rotations(100)
    for scale in (1e-3, 1.0, 1e3):
        torch.testing.assert_close(polar(scale * R), R, rtol=0, atol=1e-13)


def test_the_rotation_has_exact_derivatives_of_two_orders_where_stretches_coincide_too():
    for F in (
        torch.eye(3),
        rotations(),
        1.3 * rotations(),
        deformations(),
        rotations() * torch.tensor([2, 1, 1]),
    ):
        point = F.clone().requires_grad_()
        assert gradcheck(polar, point)
        assert gradgradcheck(polar, point)


def test_the_derivative_of_the_rotation_at_the_rest_shape_is_the_skew_part():
    dF = torch.randn(3, 3)
    _, dR = torch.func.jvp(polar, (torch.eye(3),), (dF,))
    torch.testing.assert_close(dR, (dF - dF.T) / 2, rtol=0, atol=1e-14)


# Distances.


def test_the_distance_to_a_triangle_is_that_to_the_nearest_of_many_of_its_points():
    corners = torch.randn(50, 3, 3)
    a, b = torch.meshgrid(torch.linspace(0, 1, 201), torch.linspace(0, 1, 201), indexing="ij")
    a, b = a[a + b <= 1], b[a + b <= 1]
    grid = torch.stack([1 - a - b, a, b], -1) @ corners
    for point in 2 * torch.randn(20, 3):
        nearest = (grid - point).norm(dim=-1).amin(-1)
        got = distances_to_triangles(point, corners)
        # The grid's points lie up to 0.02 apart, and never nearer than the nearest of all.
        assert (got <= nearest + 1e-12).all()
        assert (got >= nearest - 0.02).all()


# Sensors.


def test_vertices_are_all_or_those_asked_for(mesh):
    x = torch.randn(4, len(mesh.vertices), 3)
    assert torch.equal(Vertices()(x), x)
    assert torch.equal(Vertices(mesh.vertex_sets["x_max"])(x), x[:, mesh.vertex_sets["x_max"]])


def test_at_rest_markers_are_where_they_were_put(mesh):
    observed = Markers(mesh, points(), standoffs=standoffs())(mesh.vertices)
    torch.testing.assert_close(observed, points() + standoffs(), rtol=0, atol=1e-15)
    bare = Markers(mesh, points())(mesh.vertices)
    torch.testing.assert_close(bare, points(), rtol=0, atol=1e-15)


def test_an_affine_deformation_moves_the_points_affinely_and_turns_the_stand_offs(mesh):
    for F in deformations(20, stretches=(0.5, 2.0)):
        c = torch.randn(3)
        x = mesh.vertices @ F.T + c
        bases = points() @ F.T + c
        torch.testing.assert_close(Markers(mesh, points())(x), bases, rtol=0, atol=1e-14)
        expected = bases + standoffs() @ by_singular_values(F).T
        for radius in (None, 0.02):
            sensor = Markers(mesh, points(), standoffs=standoffs(), radius=radius)
            # Gradients of 1/h are sums of differences over cells of 0.015 m, of positions of order one.
            torch.testing.assert_close(sensor(x), expected, rtol=0, atol=1e-14 / 0.015)


def test_rigid_motions_are_reproduced_to_rounding_for_a_batch_of_trajectories(mesh):
    R, t = rotations(5, 2), torch.randn(5, 2, 1, 3)
    x = mesh.vertices @ R.mT + t
    observed = Markers(mesh, points(), standoffs=standoffs())(x)
    assert observed.shape == (5, 2, 4, 3)
    torch.testing.assert_close(observed, (points() + standoffs()) @ R.mT + t, rtol=0, atol=1e-12)


def test_a_stand_off_turns_with_the_cells_around_its_base_only(mesh):
    # The far half is turned by a quarter, and what lies between is sheared.
    far = mesh.vertices[:, 0] > 0.05
    quarter = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    x = torch.where(far[:, None], mesh.vertices @ quarter.T, mesh.vertices)
    base, o = torch.tensor([[0.1, 0.015, 0.015]]), torch.tensor([[0.0, 0.0, 0.006]])
    small = Markers(mesh, base, standoffs=o, radius=0.015)(x)
    torch.testing.assert_close(small, base @ quarter.T + o @ quarter.T, rtol=0, atol=1e-13)
    whole = Markers(mesh, base, standoffs=o, radius=1.0)(x)
    assert (whole - small).norm() > 0.002


def test_the_default_patch_are_the_cells_that_share_a_vertex_with_the_base(mesh):
    base = torch.tensor([[0.1, 0.015, 0.02]])
    sensor = Markers(mesh, base, standoffs=torch.tensor([[0.006, 0.0, 0.0]]))
    owner = (mesh.cells[:, :, None] == sensor.nodes[0]).any(-1).all(-1)
    patch = torch.isin(mesh.cells, mesh.cells[owner]).any(1)
    used = sensor.around[0, (sensor.gradients[0] != 0).any(-1)]
    assert set(used.tolist()) <= set(mesh.cells[patch].flatten().tolist())
    moved = mesh.vertices + 0.001 * torch.randn_like(mesh.vertices)
    beyond = torch.ones(len(mesh.vertices), dtype=torch.bool)
    beyond[mesh.cells[patch]] = False
    assert beyond.any()
    other = torch.where(beyond[:, None], mesh.vertices, moved)
    assert torch.equal(sensor(moved), sensor(other))


def test_the_observed_points_have_exact_gradients_at_rest_and_when_deformed():
    mesh = box_mesh(cells=(1, 1, 1), size=(0.02, 0.03, 0.03))
    base, o = torch.tensor([[0.02, 0.015, 0.02]]), torch.tensor([[0.006, 0.001, 0.0]])
    sensor = Markers(mesh, base, standoffs=o)
    for x in (mesh.vertices, mesh.vertices + 2e-3 * torch.randn(8, 3)):
        assert gradcheck(sensor, x.clone().requires_grad_())
        assert gradgradcheck(sensor, x.clone().requires_grad_())


def test_a_point_just_outside_moves_with_the_nearest_cell(mesh):
    F = deformations()
    outside = torch.tensor([[0.1005, 0.015, 0.02], [0.05, -0.0007, 0.0302], [0.1004, 0.0304, 0.0304]])
    observed = Markers(mesh, outside)(mesh.vertices @ F.T)
    torch.testing.assert_close(observed, outside @ F.T, rtol=0, atol=1e-14)
    # Cells elsewhere have no part in it.
    x = mesh.vertices.clone()
    x[mesh.vertices[:, 0] < 0.08] += 1.0
    torch.testing.assert_close(Markers(mesh, outside[[0, 2]])(x), outside[[0, 2]], rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("bases", "options", "message"),
    [
        (
            [[0.05, 0.015, 0.015], [0.1, 0.015, 0.036]],
            {},
            "within 0.001 m of it; point 1, (0.1, 0.015, 0.036), is 0.006 m outside",
        ),
        ([[0.105, 0.034, 0.03]], {}, "is 0.0064 m outside"),
        ([[100.0, 15.0, 15.0]], {}, "Is it in m, and in the mesh's frame?"),
        ([[0.1, 0.015, 0.036]], {}, "give the point at its foot, and the rest as standoffs="),
        ([[torch.nan, 0.0, 0.0]], {}, "points must be finite"),
        ([[0.1, 0.0, 0.0]], {"standoffs": torch.full((1, 3), torch.inf)}, "standoffs must be finite"),
        (
            [[0.1, 0.0, 0.0]],
            {"standoffs": torch.zeros(2, 3)},
            "standoffs must be finite, 3 coordinates for each of the 1 markers, got shape (2, 3)",
        ),
        (
            [[0.1, 0.0, 0.0]],
            {"standoffs": torch.zeros(1, 3), "radius": 1e-4},
            "radius must reach the centroid",
        ),
        (
            [[0.1, 0.0, 0.0]],
            {"standoffs": torch.zeros(1, 3), "radius": torch.nan},
            "radius must be a positive finite number in m, got nan",
        ),
    ],
)
def test_markers_that_cannot_be_fixed_say_why(mesh, bases, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Markers(mesh, torch.tensor(bases), **options)


@pytest.mark.unchecked
def test_positions_of_another_mesh_are_refused(mesh):
    other = box_mesh(cells=(1, 1, 1)).vertices
    with pytest.raises(ObservationError, match="below the 8 vertices of the positions, got 9"):
        Vertices(torch.tensor([0, 9]))(other)
    for positions in (other, torch.cat([mesh.vertices, other]), mesh.vertices[:, :2]):
        with pytest.raises(ObservationError, match="positions must be of shape"):
            Markers(mesh, points())(positions)
    for positions in (mesh.vertices.half(), mesh.vertices.long(), mesh.vertices.to_sparse()):
        with pytest.raises((TypeError, ValueError), match=r"positions must be a .*tensor of"):
            Markers(mesh, points())(positions)


@pytest.mark.unchecked
@pytest.mark.parametrize("indices", [[], [-1], [[0, 1]]])
def test_observed_vertices_are_at_least_one_index_each(indices):
    with pytest.raises(ObservationError, match="indices must be at least one index, each from 0"):
        Vertices(torch.tensor(indices, dtype=torch.int64))


@pytest.mark.unchecked
@pytest.mark.parametrize("point", [[0.1, 0.0, 0.0], [[0.1, 0.0]]])
def test_a_single_point_without_its_row_is_refused_by_its_shape(mesh, point):
    with pytest.raises(ObservationError, match=re.escape(f"got shape {tuple(torch.tensor(point).shape)}")):
        Markers(mesh, torch.tensor(point))


def test_the_dtype_follows_to_and_nothing_is_stored_in_checkpoints(mesh):
    sensor = Markers(mesh, points(), standoffs=standoffs())
    assert not sensor.state_dict()
    exact = sensor(mesh.vertices)
    single = sensor.to(torch.float32)(mesh.vertices.float())
    assert single.dtype == torch.float32
    # A few roundings of 6e-8 of positions of 0.1 m.
    torch.testing.assert_close(single.double(), exact, rtol=0, atol=5e-8)


def test_a_mesh_in_single_precision_holds_the_points_of_its_own_faces():
    torch.set_default_dtype(torch.float32)
    mesh = box_mesh(cells=(6, 2, 2), size=(0.1, 0.03, 0.03), origin=(-0.1, 0.0, 0.0))
    shuffled = Mesh(mesh.vertices, mesh.cells[torch.randperm(len(mesh.cells))])
    R, t = rotations(), torch.tensor([1.0, 2.0, 3.0])
    observed = Markers(shuffled, shuffled.vertices)(shuffled.vertices @ R.T + t)
    # Rounding of positions of 3 m, and of a product in single precision.
    torch.testing.assert_close(observed, shuffled.vertices @ R.T + t, rtol=0, atol=1e-6)


# Every element.


@pytest.mark.parametrize("element", ELEMENTS)
def test_at_rest_markers_on_any_element_are_where_they_were_put(element):
    mesh = wavy(element)
    kind = ELEMENT_TYPES[element]
    places = torch.tensor([[0.2, 0.3, 0.1], [0.0, 0.25, 0.5], [0.0, 0.0, 0.7], [1.0, 0.0, 0.0]])
    N = kind.shape.functions(places)
    # In a cell, on a curved face, on a curved edge and at a corner, of every fifth cell.
    owners = torch.arange(len(mesh.cells))[::5]
    points = (N @ mesh.vertices[mesh.cells[owners]]).flatten(0, 1)
    sensor = Markers(mesh, points)
    torch.testing.assert_close(sensor(mesh.vertices), points, rtol=0, atol=1e-13)
    # What is in a cell has the shape functions of that cell.
    assert torch.equal(sensor.nodes[::4], mesh.cells[owners])
    torch.testing.assert_close(sensor.weights[::4], N[:1].expand(len(owners), -1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("element", ELEMENTS)
def test_markers_follow_a_polynomial_of_the_elements_degree(element):
    # In straight cells, where shape functions are polynomials in space.
    box, shear = box_mesh(cells=(3, 2, 2), element=element), deformations()
    mesh = Mesh(box.vertices @ shear.T, box.cells)
    points = torch.rand(20, 3) @ shear.T
    b = torch.randn(3, 3, 3) * (DEGREES[element] - 1)
    A = torch.eye(3) + 0.1 * torch.randn(3, 3)

    def field(X):
        return X @ A.T + torch.einsum("ijk,nj,nk->ni", b, X, X)

    observed = Markers(mesh, points)(field(mesh.vertices))
    torch.testing.assert_close(observed, field(points), rtol=0, atol=1e-12)


@pytest.mark.parametrize("element", ELEMENTS)
def test_an_affine_motion_of_curved_elements_turns_stand_offs_by_its_rotation(element):
    mesh = wavy(element)
    F = deformations()
    bases, o = mesh.vertices[[7, 20]], torch.tensor([[0.0, 0.0, 0.1], [0.1, 0.0, 0.0]])
    observed = Markers(mesh, bases, standoffs=o)(mesh.vertices @ F.T)
    expected = bases @ F.T + o @ by_singular_values(F).T
    torch.testing.assert_close(observed, expected, rtol=0, atol=1e-12)


def test_a_function_is_sensors_whose_errors_name_it():
    positions = torch.randn(5, 4, 3)
    assert torch.equal(FunctionSensors(lambda x: x[..., :2, :])(positions), positions[:, :2])
    with pytest.raises(
        ObservationError, match=r"observe must map positions \(5, 4, 3\) .*sqrt.* which raised"
    ):
        FunctionSensors(math.sqrt)(positions)
    with pytest.raises(TypeError, match=r"observe must be a function of 1 argument, got <function"):
        FunctionSensors(lambda: positions)

"""Known initial states: at rest, thrown, or pulled and twisted from the fixed end."""

import re

import pytest
import torch
from support.materials import rotations

from simlayer import Mesh, MeshError, box_mesh
from simlayer.app.initial_conditions import at_rest, pulled_and_twisted, thrown

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def mesh():
    return box_mesh(cells=(2, 2, 2), size=(0.2, 0.1, 0.1))


def fixed(mesh, name="x_min"):
    mask = torch.zeros(len(mesh.vertices), 3, dtype=torch.bool)
    mask[mesh.vertex_sets[name]] = True
    return mask


def test_at_rest_is_one_scene_of_the_rest_shape(mesh):
    state = at_rest(mesh, fixed(mesh))
    assert torch.equal(state.positions, mesh.vertices[None])
    assert not state.velocities.any()


def test_a_thrown_body_moves_as_a_whole_where_it_is_not_fixed(mesh):
    state = thrown(mesh, fixed(mesh), velocity=[1, 0.5, -2.0])
    assert torch.equal(state.positions, mesh.vertices[None])
    assert not state.velocities[0, mesh.vertex_sets["x_min"]].any()
    assert torch.equal(
        state.velocities[0, mesh.vertex_sets["x_max"]], torch.tensor([1, 0.5, -2]).expand(9, 3)
    )


def test_a_velocity_without_three_components_is_refused(mesh):
    with pytest.raises(ValueError, match=r"three components in m/s, got \[1.0\]"):
        thrown(mesh, fixed(mesh), velocity=[1.0])


def test_the_velocities_pull_and_twist_in_proportion_to_the_distance_from_the_fixed_end(mesh):
    state = pulled_and_twisted(mesh, fixed(mesh), pull=2.0, twist=8.0)
    x, y, z = (mesh.vertices - torch.tensor([0.0, 0.05, 0.05])).T
    # About the x axis at 8 m/s / 0.2 m at the far end.
    expected = (x / 0.2)[:, None] * torch.stack([torch.full_like(x, 2.0), -40 * z, 40 * y], 1)
    torch.testing.assert_close(state.velocities, expected[None], rtol=0, atol=1e-13)
    assert torch.equal(state.positions, mesh.vertices[None])
    assert not state.velocities[:, mesh.vertex_sets["x_min"]].any()


def test_the_axis_is_found_in_any_direction(mesh):
    R = rotations()
    turned = Mesh(mesh.vertices @ R.T + torch.randn(3), mesh.cells)
    straight = pulled_and_twisted(mesh, fixed(mesh)).velocities
    torch.testing.assert_close(
        pulled_and_twisted(turned, fixed(mesh)).velocities, straight @ R.T, rtol=0, atol=1e-12
    )
    far = pulled_and_twisted(mesh, fixed(mesh, "x_max"), pull=2.0, twist=0.0).velocities[0]
    torch.testing.assert_close(
        far[mesh.vertex_sets["x_min"]], torch.tensor([-2.0, 0, 0]).expand(9, 3), rtol=0, atol=1e-13
    )


def test_a_vertex_fixed_in_one_component_only_is_no_part_of_the_end(mesh):
    mask = fixed(mesh)
    expected = pulled_and_twisted(mesh, mask).velocities
    mask[mesh.vertex_sets["z_min"], 2] = True
    assert torch.equal(pulled_and_twisted(mesh, mask).velocities, expected)


def test_lists_of_speeds_make_scenes(mesh):
    state = pulled_and_twisted(mesh, fixed(mesh), pull=[2.0, 0, -1.0], twist=[0.0, 8.0, 4.0])
    for k, (pull, twist) in enumerate([(2.0, 0.0), (0.0, 8.0), (-1.0, 4.0)]):
        single = pulled_and_twisted(mesh, fixed(mesh), pull=pull, twist=twist)
        assert torch.equal(state.velocities[k], single.velocities[0])
        assert torch.equal(state.positions[k], mesh.vertices)
    shared = pulled_and_twisted(mesh, fixed(mesh), pull=[1.0, 2.0], twist=3)
    assert torch.equal(
        shared.velocities[1], pulled_and_twisted(mesh, fixed(mesh), pull=2, twist=3).velocities[0]
    )


@pytest.mark.parametrize(
    ("pull", "twist", "counts"),
    [([1.0, 2.0], [1.0, 2.0, 3.0], "2 and 3"), ([], 1.0, "0 and 1"), ([], [], "0 and 0")],
)
def test_lists_of_different_lengths_are_refused(mesh, pull, twist, counts):
    with pytest.raises(ValueError, match=f"pull and twist must be equally many speeds.*, got {counts}"):
        pulled_and_twisted(mesh, fixed(mesh), pull=pull, twist=twist)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.zeros(27, 3, dtype=torch.bool), "box: pulling and twisting needs fixed vertices, at one end"),
        (torch.tensor([[True, True, False]]).expand(27, 3), "needs fixed vertices"),
        (
            torch.ones(27, 3, dtype=torch.bool),
            "box: the fixed vertices must lie at one end, not around the middle",
        ),
    ],
)
def test_what_is_fixed_is_one_end(mesh, mask, message):
    with pytest.raises(MeshError, match=re.escape(message)):
        pulled_and_twisted(mesh, mask)


def test_what_is_fixed_around_the_middle_is_no_end(mesh):
    middle = (mesh.vertices[:, 0] == 0.1)[:, None].expand(-1, 3)
    with pytest.raises(MeshError, match="must lie at one end"):
        pulled_and_twisted(mesh, middle)

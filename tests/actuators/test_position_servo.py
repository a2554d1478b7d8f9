"""Servos of vertices: their targets, stiffnesses, and what they refuse."""

import pytest
import torch

from simlayer import (
    ElasticForce,
    Equilibrium,
    PositionServo,
    RolloutModule,
    StableNeoHookean,
    State,
    box_mesh,
)

pytestmark = pytest.mark.usefixtures("float64")


def bar():
    return box_mesh(cells=(3, 1, 1), size=(0.3, 0.1, 0.1))


def test_vertices_are_pulled_to_where_they_rest_by_default_and_to_targets_else():
    mesh = bar()
    x, end = mesh.vertices + 0.01 * torch.randn(2, *mesh.vertices.shape), mesh.vertex_sets["x_max"]
    stiffness = torch.tensor([1.0, 2.0, 3.0, 4.0])
    servo = PositionServo(mesh, "x_max", stiffness=stiffness)
    expected = torch.zeros_like(x)
    expected[:, end] = stiffness[:, None] * (mesh.vertices - x)[:, end]
    assert torch.allclose(servo(State.at_rest(x)), expected, rtol=1e-13, atol=1e-16)
    servo.targets = torch.tensor([[1.0, 2.0, 3.0]])
    expected[:, end] = stiffness[:, None] * (torch.tensor([1.0, 2.0, 3.0]) - x[:, end])
    assert torch.allclose(servo(State.at_rest(x)), expected, rtol=1e-13)


def test_a_stiff_servo_takes_vertices_to_the_targets_of_each_sample():
    mesh = bar()
    forces = {
        "elastic": ElasticForce(mesh, StableNeoHookean(1e4, 0.3)),
        "servo": PositionServo(mesh, "x_max", stiffness=1e8),
    }
    rollout = RolloutModule(Equilibrium(mesh, forces, fixed="x_min"), 1)
    end = mesh.vertex_sets["x_max"]
    targets = mesh.vertices[end] + torch.tensor([[[0.01, 0.0, 0.0]], [[0.0, 0.0, 0.02]]])
    x = rollout(State.at_rest(mesh.vertices), {"targets": targets}).positions
    assert torch.allclose(x[:, end], targets, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vertices": "tip"}, "vertices: the mesh has no vertex set 'tip'"),
        ({"stiffness": torch.ones(3)}, r"stiffness has shape \(3,\)"),
        ({"stiffness": 0.0}, "stiffness must be positive"),
    ],
)
def test_what_is_no_servo_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PositionServo(bar(), **({"vertices": "x_max", "stiffness": 1.0} | options))


@pytest.mark.unchecked
def test_targets_of_another_number_of_vertices_are_refused():
    with pytest.raises(ValueError, match=r"targets has shape \(16, 3\).*expected \(\*batch, 4, 3\)"):
        PositionServo(bar(), "x_max", stiffness=1.0, targets=bar().vertices)

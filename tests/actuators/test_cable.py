"""Cables and their servos: lengths, forces at ends and eyelets, slack, and what they refuse."""

import pytest
import torch
from support.meshes import ELEMENTS, wavy

from simlayer import (
    Cable,
    CableServo,
    ElasticForce,
    Equilibrium,
    Newmark,
    RolloutModule,
    StableNeoHookean,
    State,
    box_mesh,
)

pytestmark = pytest.mark.usefixtures("float64")


def bar(element="tet4"):
    return box_mesh(cells=(6, 2, 2), size=(0.6, 0.2, 0.2), element=element)


LOW = [(0.05, 0.1, 0.02), (0.2, 0.1, 0.02), (0.4, 0.1, 0.02), (0.6, 0.1, 0.02)]


@pytest.mark.parametrize("element", ELEMENTS)
def test_its_length_is_that_of_the_segments_between_its_points_wherever_the_body_is(element):
    mesh = wavy(element)
    points = mesh.vertices[mesh.cells[[0, 3, 5]]].mean(1)
    cable = Cable(mesh, [*points.tolist(), [2.0, 0.0, 0.0]], anchors=[3])
    A, b = torch.randn(3, 3), torch.randn(3)
    moved = points @ A.mT + b
    expected = torch.cat([moved, torch.tensor([[2.0, 0.0, 0.0]])]).diff(dim=0).norm(dim=-1).sum()
    assert cable.length(mesh.vertices @ A.mT + b).item() == pytest.approx(expected.item(), rel=1e-12)


def test_each_end_is_pulled_by_the_tension_and_an_eyelet_by_it_in_both_directions():
    mesh = bar("hex8")
    corner, top = mesh.vertices.argmin(0)[0], (0.3, 0.1, 0.2)
    ends = [mesh.vertices[corner].tolist(), top, [0.6, 0.0, 0.0]]
    f = Cable(mesh, ends, tension=7.0)(State.at_rest(mesh.vertices))
    first, second = torch.tensor(ends).diff(dim=0)
    first, second = first / first.norm(), second / second.norm()
    middle = (mesh.vertices - torch.tensor(top)).norm(dim=-1).argmin()
    assert torch.allclose(f[corner], 7 * first, rtol=1e-12)
    assert torch.allclose(f[middle], 7 * (second - first), rtol=1e-12)
    assert f.sum(0).abs().max() < 1e-14
    assert torch.linalg.cross(mesh.vertices, f).sum(0).abs().max() < 1e-14


def test_an_anchor_takes_what_the_body_is_pulled_by():
    mesh = bar()
    cable = Cable(mesh, [(0.6, 0.1, 0.1), (0.6, 0.1, 1.1)], tension=3.0, anchors=torch.tensor([1]))
    f = cable(State.at_rest(mesh.vertices))
    assert torch.allclose(f.sum(0), torch.tensor([0.0, 0.0, 3.0]), rtol=1e-12)


def test_a_cable_near_the_lower_side_bends_a_beam_down():
    mesh = bar()
    elastic = ElasticForce(mesh, StableNeoHookean(1e5, 0.3))
    step = Equilibrium(mesh, {"elastic": elastic, "cable": Cable(mesh, LOW)}, fixed="x_min")
    tensions = torch.tensor([[0.0], [50.0], [100.0]])
    x = RolloutModule(step, 1)(State.at_rest(mesh.vertices), {"tension": tensions}).positions
    tip = x[:, mesh.vertex_sets["x_max"], 2].mean(-1) - 0.1
    assert tip[0].abs() < 1e-12
    assert tip[2] < 1.5 * tip[1] < 0


def test_a_servo_pulls_by_stiffness_times_extension_and_not_when_it_is_slack():
    mesh = bar()
    at_rest = float(Cable(mesh, LOW).length(mesh.vertices))
    for extension, tension in ((-0.1, 0.0), (5e-4, 5e-4**2 / 2e-3), (1e-3, 5e-4), (0.05, 0.0495)):
        servo = CableServo(mesh, LOW, stiffness=30.0, rest_length=at_rest - extension, transition=1e-3)
        assert servo.pull(mesh.vertices).item() == pytest.approx(30 * tension, rel=1e-9, abs=1e-15)
    assert CableServo(mesh, LOW, stiffness=1.0).pull(mesh.vertices).item() == pytest.approx(0, abs=1e-12)


def test_the_energy_of_a_servo_has_two_continuous_derivatives():
    servo = CableServo(bar(), LOW, stiffness=2.0, rest_length=0.5, transition=0.01)
    for place in (0.5, 0.51):
        found = []
        for length in (place - 1e-9, place + 1e-9):
            x = torch.tensor(length, requires_grad=True)
            (first,) = torch.autograd.grad(servo.length_energy(x), x, create_graph=True)
            second = torch.autograd.grad(first, x)[0] if first.requires_grad else torch.zeros(())
            found.append(torch.stack([servo.length_energy(x), first, second]).detach())
        assert torch.allclose(*found, rtol=0, atol=1e-6)


def test_a_servo_that_winds_up_shortens_its_cable_in_implicit_steps():
    mesh = bar()
    forces = {"elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.3))}
    forces["cable"] = servo = CableServo(mesh, LOW, stiffness=2e4)
    rollout = RolloutModule(Newmark(mesh, forces, dt=5e-3, fixed="x_min"), 30, compile=False)
    wound = torch.linspace(1.0, 0.9, 30)[:, None] * servo.rest_length
    end = rollout(State.at_rest(mesh.vertices), controls={"rest_length": wound}).positions
    assert servo.length(end) < 0.97 * servo.length(mesh.vertices)


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": LOW[:1]}, r"points must be at least two finite points \(P, 3\)"),
        (
            {"points": [LOW[0], LOW[0], LOW[1]]},
            r"points must differ from the ones before, got \[0.05, 0.1, 0.02\] twice",
        ),
        ({"points": [LOW[0], (0.0, 0.0, 5.0)]}, "points must lie in the body.* is 4.8 m outside"),
        ({"anchors": [4]}, "anchors must be indices of the 4 points"),
        ({"anchors": [0, 1, 2, 3]}, "anchors must leave at least one of the 4 points on the body"),
        ({"anchors": [0.5]}, "anchors must be an array of integers"),
        ({"tension": -1.0}, "tension must be zero or positive, got -1"),
        ({"tension": torch.ones(3)}, r"tension has shape \(3,\)"),
    ],
)
def test_what_is_no_cable_is_refused_by_name(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Cable(bar(), **({"points": LOW} | options))

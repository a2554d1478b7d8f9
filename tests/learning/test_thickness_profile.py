"""A rest shape with few parameters: of the same volume, and with the right gradient."""

import pytest
import torch
from support.arms import NAMES, arm
from torch.autograd import gradcheck

from simlayer import RolloutModule, State, box_mesh
from simlayer.learning import DistanceToGoal, NetworkPolicy, PolicyTraining, ThicknessProfile

pytestmark = pytest.mark.usefixtures("float64")


def volume(mesh, positions):
    """The volume of linear tetrahedra."""
    corners = positions[mesh.cells]
    edges = corners[:, 1:] - corners[:, :1]
    return torch.linalg.det(edges).abs().sum() / 6


def test_it_begins_with_the_shape_of_the_mesh():
    mesh = box_mesh(cells=(4, 1, 2), size=(0.4, 0.1, 0.2))
    torch.testing.assert_close(ThicknessProfile(mesh, "x")()["rest_positions"], mesh.vertices)


@pytest.mark.parametrize(("axis", "cells"), [("x", (8, 2, 2)), ("y", (2, 4, 2)), ("z", (2, 2, 12))])
def test_it_keeps_the_volume_and_the_length(axis, cells):
    mesh = box_mesh(cells=cells, size=(0.4, 0.3, 0.6), origin=(0.1, -0.2, 0.3))
    profile = ThicknessProfile(mesh, axis, sections=5)
    torch.manual_seed(0)
    profile.design.data.normal_()
    rest = profile()["rest_positions"].detach()
    number = "xyz".index(axis)
    assert torch.equal(rest[:, number], mesh.vertices[:, number])
    assert float((rest - mesh.vertices).abs().max()) > 0.01
    torch.testing.assert_close(volume(mesh, rest), volume(mesh, mesh.vertices), rtol=1e-12, atol=0)


def test_a_section_is_as_thick_as_its_scale():
    mesh = box_mesh(cells=(4, 1, 1), size=(0.4, 0.1, 0.2))
    profile = ThicknessProfile(mesh, "x", sections=3)
    profile.design.data.copy_(torch.tensor([-1.0, 0.5, 2.0]))
    rest, scales = profile()["rest_positions"], profile.scales()
    for place, scale in ((0.0, scales[0]), (0.1, (scales[0] + scales[1]) / 2), (0.4, scales[2])):
        own = rest[(mesh.vertices[:, 0] - place).abs() < 1e-9]
        torch.testing.assert_close(own[:, 2].max() - own[:, 2].min(), 0.2 * scale)


def test_its_gradient_is_right():
    profile = ThicknessProfile(box_mesh(cells=(3, 1, 1), size=(0.3, 0.1, 0.1)), "x", sections=4)

    def rest(design):
        return torch.func.functional_call(profile, {"design": design}, ())["rest_positions"]

    assert gradcheck(rest, torch.randn(4, requires_grad=True))


def test_a_policy_and_the_shape_are_trained_together_from_the_shape_at_rest():
    step, start, tip = arm()
    policy = NetworkPolicy(step, NAMES, vertices=tip, num_inputs=3, length=0.01, interval=10)
    profile = ThicknessProfile(step.elements.mesh, "x", sections=4)
    rollout = RolloutModule(step, 20, policy=policy, compile=False)
    model = PolicyTraining(rollout, start, DistanceToGoal(tip), design=profile, every=10)
    profile.design.data.copy_(torch.tensor([0.3, -0.2, 0.1, -0.4]))
    goals = torch.tensor([[0.09, 0.015, 0.02], [0.09, 0.01, 0.01]])
    motion = model(goals)
    rest = profile()["rest_positions"]
    assert torch.equal(motion.positions[0, 1], rest)
    expected = rollout.trajectory(
        State.at_rest(rest.expand(2, -1, -1)), {"rest_positions": rest}, policy_inputs=(goals,), every=10
    )
    torch.testing.assert_close(motion.positions, expected.positions)
    model.objectives(goals).mean().backward()
    (gradient,), h = [profile.design.grad.clone()], 1e-5
    for k in range(4):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                profile.design[k] += sign * h
                values.append(float(model.objectives(goals).mean()))
                profile.design[k] -= sign * h
        # Central differences are good to h² and rounding over h.
        assert float(gradient[k]) == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axis": "w"}, "axis must be"),
        ({"sections": 1}, "sections must be"),
        ({"most": 0.0}, "most must be"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ThicknessProfile(box_mesh(cells=(1, 1, 1), size=(1, 1, 1)), **options)

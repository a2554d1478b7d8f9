"""The smoothness prior: nothing for a constant field, and for a jump the area of its edge."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from simlayer import Mesh, box_mesh
from simlayer.identification.priors import SmoothnessPrior
from simlayer.mesh.refinement import refine

pytestmark = pytest.mark.usefixtures("float64")
SIZE = (0.2, 0.1, 0.3)


def step_field(mesh, jump, *, at=0.1):
    return jump * (mesh.vertices[mesh.cells].mean(1)[:, 0] > at).to(mesh.vertices.dtype)


def test_a_constant_field_costs_nothing_and_pulls_nowhere():
    mesh = box_mesh(cells=(2, 2, 2))
    field = torch.full((48,), 3.7, requires_grad=True)
    value = SmoothnessPrior(mesh, "E", weight=1.0)(field)
    value.backward()
    assert value.item() == 0
    assert (field.grad == 0).all()


@pytest.mark.parametrize("jump", [-2.0, 1e-3, 0.1, 5.0])
@pytest.mark.parametrize("sharpness", [0.01, 0.1])
def test_a_jump_across_a_plane_costs_by_its_area(jump, sharpness):
    mesh = box_mesh(cells=(4, 2, 3), size=SIZE)
    prior = SmoothnessPrior(mesh, "E", weight=0.7, sharpness=sharpness)
    V = math.prod(SIZE)
    edge = math.hypot(jump, sharpness) - sharpness
    expected = 0.7 * V ** (1 / 3) / V * SIZE[1] * SIZE[2] * edge
    # The difference under the root loses digits where the jump is small: 1e-16 of the sharpness.
    assert prior(step_field(mesh, jump)).item() == pytest.approx(expected, rel=1e-11)


def test_a_sharp_edge_costs_the_same_on_every_mesh_of_a_body_of_any_size():
    coarse = box_mesh(cells=(2, 2, 2), size=SIZE)
    large = Mesh(10 * coarse.vertices, coarse.cells)
    costs = [
        SmoothnessPrior(mesh, "E", weight=1.0)(step_field(mesh, 1.0, at=at)).item()
        for mesh, at in ((coarse, 0.1), (refine(coarse), 0.1), (refine(refine(coarse)), 0.1), (large, 1.0))
    ]
    assert costs == pytest.approx([costs[0]] * 4, rel=1e-12)


def test_one_sharp_edge_costs_little_more_than_the_same_rise_in_two_steps():
    mesh = box_mesh(cells=(4, 1, 1))
    prior = SmoothnessPrior(mesh, "E", weight=1.0, sharpness=1e-6)
    x = mesh.vertices[mesh.cells].mean(1)[:, 0]
    gradual = 0.5 * (x > 0.25) + 0.5 * (x > 0.5)
    # Up to the sharpness itself, which each edge is spared.
    assert prior(gradual).item() == pytest.approx(prior(step_field(mesh, 1.0, at=0.5)).item(), abs=2e-6)


def test_the_cost_does_not_depend_on_sign_or_offset_and_is_linear_in_the_weight():
    mesh = box_mesh(cells=(2, 1, 1))
    prior, double = (SmoothnessPrior(mesh, "E", weight=w) for w in (1.0, 2.0))
    field = torch.randn(12)
    value = prior(field).item()
    assert prior(-field).item() == pytest.approx(value, rel=1e-14)
    assert prior(field + 5.0).item() == pytest.approx(value, rel=1e-12)
    assert double(field).item() == pytest.approx(2 * value, rel=1e-14)


def test_the_gradient_is_exact():
    mesh = box_mesh(cells=(1, 1, 1))
    prior = SmoothnessPrior(mesh, "E", weight=0.3)
    assert gradcheck(prior, (0.2 * torch.randn(6)).requires_grad_())
    assert gradcheck(prior, torch.zeros(6, requires_grad=True))


def test_the_dtype_follows_to_and_nothing_is_stored_in_checkpoints():
    prior = SmoothnessPrior(box_mesh(cells=(1, 1, 1)), "E", weight=1.0)
    assert not prior.state_dict()
    assert prior.to(torch.float32)(torch.zeros(6, dtype=torch.float32)).dtype == torch.float32


@pytest.mark.parametrize(("weight", "sharpness"), [(-1.0, 0.1), (1.0, 0.0), (1.0, -0.1), (math.nan, 0.1)])
def test_a_weight_is_not_negative_and_a_sharpness_positive(weight, sharpness):
    with pytest.raises(ValueError, match=r"weight must be .*at least 0, got|sharpness must be a positive"):
        SmoothnessPrior(box_mesh(cells=(1, 1, 1)), "E", weight=weight, sharpness=sharpness)


@pytest.mark.unchecked
@pytest.mark.parametrize("field", [torch.zeros(6).half(), torch.zeros(6).to_sparse(), torch.zeros(6).long()])
def test_a_field_without_plain_floats_is_refused(field):
    with pytest.raises((TypeError, ValueError), match=r"field must be a .*tensor of"):
        SmoothnessPrior(box_mesh(cells=(1, 1, 1)), "E", weight=1.0)(field)

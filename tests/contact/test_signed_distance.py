"""Signed distances to solids against distances to their closest points, and their derivatives."""

import pytest
import torch
from torch import Tensor

from simlayer.contact.signed_distance import beyond, box, capsule, cylinder, length

pytestmark = pytest.mark.usefixtures("float64")

SIZE = torch.tensor([0.6, 1.0, 1.4])
RADIUS, HEIGHT = torch.tensor(0.4), torch.tensor(1.2)
SOLIDS = {
    "box": lambda p: box(*p.unbind(-1), SIZE),
    "capsule": lambda p: capsule(*p.unbind(-1), RADIUS, HEIGHT),
    "cylinder": lambda p: cylinder(*p.unbind(-1), RADIUS, HEIGHT),
    "ball": lambda p: length(*p.unbind(-1)) - RADIUS,
}
every_solid = pytest.mark.parametrize("name", SOLIDS)


def closest(name: str, p: Tensor) -> Tensor:
    """The closest point of the solid to points outside."""
    if name == "box":
        return torch.minimum(torch.maximum(p, -SIZE / 2), SIZE / 2)
    z = p[:, 2].clamp(-HEIGHT / 2, HEIGHT / 2)
    axis = torch.stack([torch.zeros_like(z), torch.zeros_like(z), z], -1)
    if name == "cylinder":
        across = p * torch.tensor([1.0, 1.0, 0.0])
        across = across * (RADIUS / across.norm(dim=-1, keepdim=True)).clamp(max=1)
        return axis + across
    center = axis if name == "capsule" else torch.zeros_like(p)
    return center + RADIUS * torch.nn.functional.normalize(p - center, dim=-1)


def around(count: int = 400) -> Tensor:
    """Points all around the solids."""
    return 2.5 * (2 * torch.rand(count, 3) - 1)


def outside(name: str, points: Tensor) -> Tensor:
    return points[SOLIDS[name](points) > 0.01]


@every_solid
def test_outside_it_is_the_distance_to_the_closest_point(name):
    p = outside(name, around())
    assert len(p) > 200
    expected = (p - closest(name, p)).norm(dim=-1)
    assert torch.allclose(SOLIDS[name](p), expected, rtol=0, atol=1e-14)


@every_solid
def test_inside_it_is_negative_and_on_the_surface_zero(name):
    p = outside(name, around())
    surface = closest(name, p)
    assert torch.allclose(SOLIDS[name](surface), torch.zeros(len(p)), rtol=0, atol=1e-14)
    assert (SOLIDS[name](0.9 * surface) < 0).all()
    assert SOLIDS[name](torch.zeros(3)) == -(SIZE.min() / 2 if name == "box" else RADIUS)


@every_solid
def test_the_normal_has_length_one_and_points_away_from_the_closest_point(name):
    p = outside(name, around()).requires_grad_()
    (normal,) = torch.autograd.grad(SOLIDS[name](p).sum(), p)
    expected = torch.nn.functional.normalize(p - closest(name, p.detach()), dim=-1)
    # The nearest of these points is 0.01 away.
    assert torch.allclose(normal, expected, rtol=0, atol=1e-12)


# On planes of symmetry, axes, the continuations of edges and faces, and next to them.
SPECIAL = [
    [0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.3, 0.5, 1.0], [0.3, 0.0, 1.0], [0.3, 1.0, 0.7],
    [0.0, 0.4, 1.0], [0.4, 0.0, 0.7], [1.0, 0.5, 0.7], [0.0, 1.0, 0.6], [1e-30, 0.0, 1.0], [1e-9, 1e-9, 1.0],
    [1e-160, 1e-160, 1.0], [0.4, 1e-20, 0.601], [0.3, 0.5, 0.7 + 1e-9],
]  # fmt: skip


@every_solid
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
def test_derivatives_are_finite_and_the_normal_right_where_the_formula_changes(name, dtype):
    p = torch.tensor(SPECIAL, dtype=dtype).requires_grad_()
    d = SOLIDS[name](p)
    (normal,) = torch.autograd.grad(d.sum(), p, create_graph=True)
    expected = torch.nn.functional.normalize(p.detach().double() - closest(name, p.detach().double()), dim=-1)
    apart = (d.detach() > 1e-6)[:, None]
    # A point 1e-3 away has lost three digits of its direction.
    tolerance = 1e-10 if dtype == torch.float64 else 2e-4
    assert ((normal - expected).abs() <= tolerance).logical_or(~apart).all()
    (curvature,) = torch.autograd.grad((normal * torch.tensor([1.0, 2.0, 3.0], dtype=dtype)).sum(), p)
    assert normal.isfinite().all()
    assert curvature.isfinite().all()


@every_solid
def test_derivatives_of_both_orders_equal_differences(name):
    p = outside(name, around(12)).requires_grad_()
    assert torch.autograd.gradcheck(SOLIDS[name], p)
    assert torch.autograd.gradgradcheck(SOLIDS[name], p)


def test_a_length_is_right_at_every_scale_and_has_no_slope_at_zero():
    vector = torch.tensor([[3.0, 4.0, 12.0], [3e-200, 4e-200, 12e-200], [3e200, 4e200, 12e200], [0.0, 0, 0]])
    vector.requires_grad_()
    found = length(*vector.unbind(-1))
    assert torch.allclose(found, torch.tensor([13.0, 13e-200, 13e200, 0.0]), rtol=1e-15, atol=0)
    (slope,) = torch.autograd.grad(found.sum(), vector)
    expected = torch.tensor([3.0, 4.0, 12.0]) / 13
    assert torch.allclose(slope, torch.stack([expected] * 3 + [torch.zeros(3)]), rtol=1e-14)


def test_beyond_nothing_it_is_the_way_to_the_nearest_end():
    assert beyond(torch.tensor(-0.3), torch.tensor(-0.1), torch.tensor(-0.2)) == -0.1
    assert beyond(torch.tensor(0.3), torch.tensor(0.4), torch.tensor(-5.0)) == 0.5

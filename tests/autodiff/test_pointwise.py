"""Derivatives of a traced energy of scalars: closed forms, broadcasting, higher orders."""

import pytest
import torch
from torch.utils.checkpoint import checkpoint

from simlayer.autodiff.pointwise import PointwiseEnergy

pytestmark = pytest.mark.usefixtures("float64")


# The tracer, on psi = a x² y + b sin y, with a coefficient c that is not read.


def energy(coefficients, arguments):
    a, b, _ = coefficients
    x, y = arguments
    return a * x**2 * y + b * y.sin()


@pytest.fixture
def psi():
    coefficients, arguments = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.3, 0.7])
    return PointwiseEnergy(energy, coefficients.unbind(), arguments.unbind())


def test_only_the_coefficients_that_an_energy_reads_are_asked_for(psi):
    assert psi.used == (0, 1)


def test_value_gradient_and_hessian_product_are_the_closed_forms_with_broadcasting(psi):
    a, b = torch.randn(5, 1), torch.randn(1, 4)
    x, y, dx, dy = torch.randn(4, 5, 4).unbind()
    # The same operators in another order, on numbers of order ten.
    close = {"rtol": 0, "atol": 1e-13}
    assert torch.allclose(psi.value((a, b), (x, y)), a * x**2 * y + b * y.sin(), **close)
    gx, gy = psi.gradient((a, b), (x, y))
    assert torch.allclose(gx, 2 * a * x * y, **close)
    assert torch.allclose(gy, a * x**2 + b * y.cos(), **close)
    hx, hy = psi.hessian_product((a, b), (x, y), (dx, dy))
    assert torch.allclose(hx, 2 * a * (y * dx + x * dy), **close)
    assert torch.allclose(hy, 2 * a * x * dx - b * y.sin() * dy, **close)


def test_a_vjp_from_what_was_kept_is_the_one_from_the_inputs_to_the_last_bit(psi):
    inputs, cotangents = torch.randn(4, 5).unbind(), torch.randn(2, 5).unbind()
    gradient, kept = psi.gradient_and_kept(inputs[:2], inputs[2:])
    assert kept
    assert all(map(torch.equal, gradient, psi.gradient(inputs[:2], inputs[2:])))
    assert all(map(torch.equal, psi.vjp(inputs, cotangents, kept), psi.vjp(inputs, cotangents)))


def test_traced_derivatives_can_be_differentiated_again(psi):
    inputs = tuple(torch.randn(3).requires_grad_() for _ in range(4))
    assert torch.autograd.gradcheck(lambda a, b, x, y: psi.gradient((a, b), (x, y)), inputs)
    assert torch.autograd.gradgradcheck(lambda a, b, x, y: psi.gradient((a, b), (x, y)), inputs)


def test_traced_derivatives_work_inside_a_checkpoint(psi):
    inputs = [torch.randn(3).requires_grad_() for _ in range(4)]

    def work(a, b, x, y):
        return sum(g.square().sum() for g in psi.gradient((a, b), (x, y)))

    plain = torch.autograd.grad(work(*inputs), inputs)
    rerun = torch.autograd.grad(checkpoint(work, *inputs, use_reentrant=False), inputs)
    assert all(torch.equal(p, r) for p, r in zip(plain, rerun, strict=True))


@pytest.mark.parametrize("points", [3, 2500], ids=["one part", "several parts"])
def test_second_derivatives_are_the_closed_forms_however_many_points_there_are(psi, points):
    # A coefficient per point and one for all, over points and a batch of two.
    a, b = torch.randn(points, 1), torch.randn(1, 2)
    x, y = torch.randn(2, points, 2).unbind()
    found = psi.hessian((a, b), (x, y), point_axes=1)
    xx, xy, yy = 2 * a * y, 2 * a * x, -b * y.sin()
    entries = [entry.expand(points, 2) for entry in (xx, xy, xy, yy)]
    expected = torch.stack(entries, -1).unflatten(-1, (2, 2)).transpose(0, 1)
    assert torch.allclose(found, expected, rtol=0, atol=1e-13)

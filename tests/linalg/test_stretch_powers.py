"""Sums of powers of stretches: against fifty digits, wherever stretches lie."""

import mpmath  # comes with torch
import pytest
import torch
from support.materials import deformations, matrix, rotations

from simlayer.linalg.stretch_powers import stretch_power_sum

pytestmark = pytest.mark.usefixtures("float64")

TERMS = [(0.7, 1.3), (0.4, 2.0), (-0.2, -2.5), (0.05, 7.9)]
TRIPLES = {
    "one": (1.0, 1.0, 1.0),
    "uniaxial": (2.0, 2**-0.5, 2**-0.5),
    "equibiaxial": (1.5, 1.5, 1.5**-2),
    "planar": (2.0, 1.0, 0.5),
    "wide": (7.0, 0.3, 0.5),
    **{f"two {gap:g} apart": (1.3, 1.3 + gap, 0.8) for gap in (1e-2, 1e-3, 1e-5, 1e-6, 1e-9, 1e-12)},
    **{f"three {gap:g} apart": (1.1, 1.1 + gap, 1.1 - 2 * gap) for gap in (1e-3, 3e-5, 1e-6, 1e-9, 1e-12)},
}


def power_sum(F, terms=TERMS):
    pairs = [(torch.as_tensor(w), torch.as_tensor(alpha)) for w, alpha in terms]
    return stretch_power_sum(matrix(F), pairs)


def exact(F):
    """The sum in fifty digits, for a matrix of mpmath."""
    squares = mpmath.eigsy(F.T * F, eigvals_only=True)
    return sum(mpmath.mpf(w) * sum(x ** (mpmath.mpf(alpha) / 2) for x in squares) for w, alpha in TERMS)


def exact_derivatives(F, directions):
    """Value and first three derivatives along a direction, and the mixed second one, by differences."""
    h = mpmath.mpf(10) ** -12
    start = mpmath.matrix(F.tolist())
    a, b = (mpmath.matrix(direction.tolist()) for direction in directions)
    at = {(i, j): exact(start + i * h * a + j * h * b) for i in (-1, 0, 1) for j in (-1, 0, 1)}
    first = (at[1, 0] - at[-1, 0]) / (2 * h)
    mixed = (at[1, 1] - at[1, -1] - at[-1, 1] + at[-1, -1]) / (4 * h**2)
    curve = [at[1, j] - 2 * at[0, j] + at[-1, j] for j in (-1, 1)]
    third = (curve[1] - curve[0]) / (2 * h**3)
    return [float(x) for x in (at[0, 0], first, mixed, third)]


@pytest.mark.parametrize("stretches", TRIPLES.values(), ids=TRIPLES)
def test_the_value_and_three_derivatives_are_those_in_fifty_digits(stretches):
    F = ((rotations() * torch.tensor(stretches)) @ rotations()).requires_grad_()
    a, b = torch.randn(2, 3, 3)
    value = power_sum(F)
    (slope,) = torch.autograd.grad(value, F, create_graph=True)
    (product,) = torch.autograd.grad((slope * a).sum(), F, create_graph=True)
    (third,) = torch.autograd.grad((product * a).sum(), F)
    got = [value, (slope * a).sum(), (product * b).sum(), (third * b).sum()]
    with mpmath.workdps(60):
        want = exact_derivatives(F.detach(), (a, b))
    # Rounding of powers up to the eighth; in third derivatives, eigenvalues nearer than 1e-4 count as equal.
    scale = max(abs(x) for x in want)
    errors = [abs(x.item() - y) / scale for x, y in zip(got, want, strict=True)]
    assert max(errors[:3]) < 1e-13, errors
    assert errors[3] < 1e-9, errors


def test_it_is_differentiable_in_weights_and_exponents_where_stretches_coincide():
    weights, exponents = torch.tensor([0.7, -0.2]), torch.tensor([2.0, -2.5])
    for stretches in ((1.0, 1.0, 1.0), (1.3, 1.3, 0.8)):
        F = (rotations() * torch.tensor(stretches)) @ rotations()
        inputs = [t.clone().requires_grad_() for t in (F, weights, exponents)]

        def function(F, weights, exponents):
            return power_sum(F, list(zip(weights, exponents, strict=True)))

        assert torch.autograd.gradcheck(function, inputs)
        assert torch.autograd.gradgradcheck(function, inputs)


def test_powers_of_two_and_four_are_the_trace_of_c_and_of_its_square():
    F = deformations(100)
    C = F.mT @ F
    trace = C.diagonal(dim1=-2, dim2=-1).sum(-1)
    assert torch.allclose(power_sum(F, [(1.0, 2.0)]), trace, rtol=1e-14)
    assert torch.allclose(power_sum(F, [(1.0, 4.0)]), (C * C).sum((-1, -2)), rtol=1e-14)


def test_a_flat_cell_has_a_finite_energy_and_finite_derivatives():
    F = torch.diag(torch.tensor([1.0, 2.0, 0.0])).requires_grad_()
    value = power_sum(F)
    (slope,) = torch.autograd.grad(value, F, create_graph=True)
    (product,) = torch.autograd.grad((slope * torch.randn(3, 3)).sum(), F)
    assert all(t.isfinite().all() for t in (value, slope, product))

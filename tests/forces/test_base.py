"""The interfaces of forces, and the contract of dissipation potentials."""

import copy
import pickle

import pytest
import torch
from support.rates import ELEMENT_FREE, RATES, body, made, size
from torch.utils.checkpoint import checkpoint

from simlayer import Force, Potential, RatePotential, State

pytestmark = pytest.mark.usefixtures("float64")

every_rate = pytest.mark.parametrize("name", RATES)
every_element_rate = pytest.mark.parametrize("name", [name for name in RATES if name not in ELEMENT_FREE])


class Push(Force):
    """A force without elements."""

    def forward(self, state):
        return torch.ones_like(state.positions)


def test_a_force_without_elements_bounds_no_stiffness():
    assert Push().stiffness_bound(None).tolist() == [0.0]


@pytest.mark.parametrize("kind", [Force, Potential, RatePotential])
def test_interfaces_of_forces_are_abstract(kind):
    with pytest.raises(TypeError, match="abstract"):
        kind()


@every_rate
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_the_force_is_minus_the_gradient_of_the_potential_by_the_velocities(name, batch):
    rate, x, v = made(name, *batch)
    d = torch.randn_like(v)
    v.requires_grad_()
    energy = rate.energy(x, v)
    (gradient,) = torch.autograd.grad(energy.sum(), v, create_graph=True)
    (product,) = torch.autograd.grad((gradient * d).sum(), v)
    assert energy.shape == batch
    assert torch.allclose(rate(State(x, v)), -gradient, rtol=0, atol=1e-13 * size(gradient))
    assert torch.allclose(rate.damping_product(x, v, d), product, rtol=0, atol=1e-12 * size(product))


@every_rate
def test_derivatives_are_right_in_positions_velocities_and_quantities(name):
    rate, x, v = made(name)
    stored = {key: p.detach().clone().requires_grad_() for key, p in rate.named_parameters()}

    def force(x, v, *tensors):
        named = dict(zip(stored, tensors, strict=True))
        return torch.func.functional_call(rate, named, (State(x, v),))

    inputs = (x.requires_grad_(), v.requires_grad_(), *stored.values())
    assert torch.autograd.gradcheck(force, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(force, inputs, fast_mode=True)
    inputs = (x, v, torch.randn_like(v).requires_grad_())
    assert torch.autograd.gradcheck(rate.damping_product, inputs, fast_mode=True)
    assert torch.autograd.gradcheck(rate.energy, inputs[:2], fast_mode=True)


@every_rate
def test_forward_mode_agrees_with_reverse_mode(name):
    rate, x, v = made(name)
    dx, dv, weights = torch.randn_like(x), torch.randn_like(v), torch.randn_like(x)
    _, change = torch.func.jvp(lambda x, v: rate(State(x, v)), (x, v), (dx, dv))
    x.requires_grad_(), v.requires_grad_()
    slopes = torch.autograd.grad((rate(State(x, v)) * weights).sum(), (x, v))
    expected = (slopes[0] * dx).sum() + (slopes[1] * dv).sum()
    assert torch.allclose((change * weights).sum(), expected, rtol=1e-11)


@every_element_rate
@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_the_blocks_add_up_to_the_product(name, batch):
    rate, x, v = made(name, *batch)
    d = torch.randn_like(v)
    blocks, cells = rate.hessian_blocks(x, v), rate.connectivity
    parts = (blocks @ d[..., cells, :].flatten(-2)[..., None]).squeeze(-1).unflatten(-1, (-1, 3))
    total = torch.zeros_like(d).index_add(-2, cells.flatten(), parts.flatten(-3, -2))
    product = rate.damping_product(x, v, d)
    assert torch.allclose(total, product, rtol=0, atol=1e-12 * size(product))
    eigenvalues = torch.linalg.eigvalsh(rate.hessian_blocks(x, v, projected=True))
    assert eigenvalues.min() > -1e-12 * eigenvalues.max()


def test_a_potential_that_knows_its_energy_only_has_no_blocks():
    rate, x, v = made("written by a user")
    assert rate.connectivity is None
    with pytest.raises(NotImplementedError, match="Drag has no connectivity"):
        rate.hessian_blocks(x, v)


@every_rate
def test_a_batch_is_its_samples_one_by_one(name):
    rate, x, v = made(name, 3)
    together = rate(State(x, v)), rate.damping_product(x, v, x), rate.energy(x, v)
    for k in range(3):
        alone = rate(State(x[k], v[k])), rate.damping_product(x[k], v[k], x[k]), rate.energy(x[k], v[k])
        for one, every in zip(alone, together, strict=True):
            assert torch.allclose(one, every[k], rtol=0, atol=1e-13 * size(every))


@every_rate
def test_the_power_is_not_positive(name):
    # Rayleigh damping near the rest shape, where the stiffness is not indefinite.
    rate, x, v = made(name, 20)
    if name.startswith("Rayleigh"):
        x = body(RATES[name][0]).vertices.expand_as(x)
    power = (rate(State(x, v)) * v).sum((-1, -2))
    assert (power < 0).all()
    # The power is the derivative along the rate, at least the potential where that is convex.
    assert (power <= -rate.energy(x, v)).all()
    if rate.quadratic:
        assert torch.allclose(power, -2 * rate.energy(x, v), rtol=1e-12)


@every_rate
def test_a_checkpoint_gives_the_same_gradients_to_the_last_bit(name):
    rate, x, v = made(name)
    rate.requires_grad_()
    inputs = (x.requires_grad_(), v.requires_grad_(), *rate.parameters())

    def force(x, v):
        return rate(State(x, v))

    plain = torch.autograd.grad(force(x, v).square().sum(), inputs)
    again = checkpoint(force, x, v, use_reentrant=False)
    rerun = torch.autograd.grad(again.square().sum(), inputs)
    assert all(torch.equal(p, r) for p, r in zip(plain, rerun, strict=True))


@every_rate
def test_a_copy_gives_the_same_forces(name):
    rate, x, v = made(name)
    expected = rate(State(x, v))
    for copied in (copy.deepcopy(rate), pickle.loads(pickle.dumps(rate))):
        assert torch.equal(copied(State(x, v)), expected)

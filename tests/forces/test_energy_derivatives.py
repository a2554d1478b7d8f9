"""Derivatives that are traced from the energy of a potential."""

import numpy as np
import pytest
import torch
from support.forces import body, deformed, elastic, forces_of, largest
from torch.utils.checkpoint import checkpoint

from simlayer import Potential, Quantity, State
from simlayer.errors import TracingError

pytestmark = pytest.mark.usefixtures("float64")


class Springs(Potential):
    """Every vertex on a stiffening spring to its anchor."""

    stiffness = Quantity("N/m", over="vertices", positive=True)
    anchors = Quantity("m", over="vertex vectors")

    def __init__(self, anchors, stiffness):
        super().__init__()
        self.anchors, self.stiffness = anchors, stiffness

    def energy(self, positions):
        squares = (positions - self.anchors).square().sum(-1)
        return (0.5 * self.stiffness * squares * (1 + squares)).sum(-1)


class Well(Potential):
    """A softened point mass that attracts all vertices; its place is a plain buffer."""

    strength = Quantity("N m", positive=True)

    def __init__(self, centre, strength):
        super().__init__()
        self.strength = strength
        self.register_buffer("centre", centre)

    def energy(self, positions):
        distance = ((positions - self.centre).square().sum(-1) + 0.01).sqrt()
        return -(self.strength.reshape(*self.strength.shape[:-1], 1) / distance).sum(-1)


POTENTIALS = {
    "springs": lambda: Springs(body().vertices.clone(), 3.0),
    "springs of each vertex": lambda: Springs(body().vertices.clone(), 1 + torch.rand(27)),
    "well": lambda: Well(torch.tensor([0.3, -0.2, 1.5]), 2.0),
    "elastic": lambda: elastic("LinearElastic", 1.0, 0.3),
}
every_potential = pytest.mark.parametrize("make", POTENTIALS.values(), ids=POTENTIALS)
shapes = pytest.mark.parametrize("batch", [(), (2,), (2, 3)])


@every_potential
@shapes
def test_a_potential_derives_force_and_hessian_product_from_its_energy(make, batch):
    potential, x, dx = make(), deformed(*batch).requires_grad_(), torch.randn(*batch, 27, 3)
    energy = potential.energy(x)
    (gradient,) = torch.autograd.grad(energy.sum(), x, create_graph=True)
    (product,) = torch.autograd.grad((gradient * dx).sum(), x)
    assert energy.shape == batch
    assert torch.allclose(forces_of(potential, x), -gradient, rtol=0, atol=1e-13)
    assert torch.allclose(potential.hessian_product(x, dx), product, rtol=0, atol=1e-12)


@every_potential
def test_a_potentials_derivatives_are_right_in_positions_and_quantities(make):
    potential = make()
    stored = {key: p.detach().clone().requires_grad_() for key, p in potential.named_parameters()}

    def function(x, *tensors):
        named = dict(zip(stored, tensors, strict=True))
        return torch.func.functional_call(potential, named, (State.at_rest(x),))

    inputs = (deformed().requires_grad_(), *stored.values())
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


@every_potential
@pytest.mark.parametrize("prepared", [True, False])
def test_a_potential_works_inside_a_checkpoint(make, prepared):
    potential, x = make(), deformed().requires_grad_()
    potential.requires_grad_()
    if prepared:
        potential.prepare(State.at_rest(x))
    inputs = (x, *potential.parameters())
    rerun = torch.autograd.grad(
        checkpoint(forces_of, potential, x, use_reentrant=False).square().sum(), inputs
    )
    plain = torch.autograd.grad(forces_of(potential, x).square().sum(), inputs)
    assert all(torch.equal(p, r) for p, r in zip(plain, rerun, strict=True))


@every_potential
@pytest.mark.parametrize("prepared", [True, False])
def test_a_potential_works_in_forward_mode(make, prepared):
    potential, x, dx = make(), deformed(), torch.randn(27, 3)
    if prepared:
        potential.prepare(State.at_rest(x))
    _, change = torch.func.jvp(lambda x: forces_of(potential, x), (x,), (dx,))
    assert torch.allclose(change, -potential.hessian_product(x, dx), rtol=0, atol=1e-12)


def inside(transform):
    """A first call of a potential inside a transform of functions, or in a mode."""

    def first_call(potential, x):
        transform(lambda x: forces_of(potential, x), x)

    return first_call


FIRST_CALLS = {
    "forward mode": inside(lambda f, x: torch.func.jvp(f, (x,), (x,))),
    "gradient": inside(lambda f, x: torch.func.grad(lambda x: f(x).sum())(x)),
    "map over samples": inside(lambda f, x: torch.func.vmap(f)(torch.stack([x, x]))),
    "inference": inside(lambda f, x: torch.inference_mode()(f)(x)),
    "autocast": inside(lambda f, x: torch.autocast("cpu", dtype=torch.bfloat16)(f)(x)),
}


@pytest.mark.parametrize("first_call", FIRST_CALLS.values(), ids=FIRST_CALLS)
@every_potential
def test_a_potential_is_right_after_a_first_call_in_whatever_surroundings(make, first_call):
    potential, x = make(), deformed()
    first_call(potential, deformed())
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(potential.energy(x).sum(), x)
    assert torch.allclose(forces_of(potential, x), -gradient, rtol=0, atol=1e-13)
    assert forces_of(potential, x).requires_grad


@every_potential
def test_a_potential_of_a_batch_gives_the_forces_of_its_samples(make):
    potential, x = make(), deformed(3)
    together = forces_of(potential, x)
    for k in range(3):
        assert torch.allclose(together[k], forces_of(potential, x[k]), rtol=0, atol=1e-13)


def test_a_batch_of_a_potentials_quantity_acts_sample_by_sample():
    strengths, x = 1 + torch.rand(3, 1), deformed(3)
    together = forces_of(Well(torch.zeros(3), strengths), x)
    for k in range(3):
        alone = forces_of(Well(torch.zeros(3), strengths[k]), x[k])
        assert torch.allclose(together[k], alone, rtol=0, atol=1e-14)


def test_a_potential_follows_a_quantity_that_was_assigned():
    potential, x = Springs(torch.zeros(1, 3), 3.0), deformed()
    before = forces_of(potential, x)
    potential.stiffness = 6.0
    assert torch.allclose(forces_of(potential, x), 2 * before, rtol=1e-14, atol=0)
    potential.anchors = x[:1] * 0
    assert torch.allclose(forces_of(potential, x), 2 * before, rtol=1e-14, atol=0)
    potential.anchors = x.clone()
    assert largest(forces_of(potential, x)) == 0


def test_a_potential_follows_a_buffer_that_was_changed_in_place():
    potential, x = Well(torch.tensor([0.0, 0.0, 3.0]), 1.0), deformed()
    forces_of(potential, x)
    potential.centre.neg_()
    fresh = Well(torch.tensor([0.0, 0.0, -3.0]), 1.0)
    assert torch.equal(forces_of(potential, x), forces_of(fresh, x))


def test_a_potential_follows_a_buffer_that_was_replaced():
    potential, x = Well(torch.tensor([0.0, 0.0, 3.0]), 1.0), deformed()
    forces_of(potential, x)
    potential.centre = torch.tensor([0.0, 0.0, -3.0])
    fresh = Well(torch.tensor([0.0, 0.0, -3.0]), 1.0)
    assert torch.equal(forces_of(potential, x), forces_of(fresh, x))


def test_a_potential_follows_its_module_to_another_precision():
    potential, x = Well(torch.tensor([0.0, 0.0, 3.0]), 1.0), deformed()
    exact = forces_of(potential, x)
    single = forces_of(potential.float(), x.float())
    assert single.dtype == torch.float32
    # A few roundings in single precision of forces below one.
    assert torch.allclose(single.double(), exact, rtol=0, atol=1e-6)
    assert torch.allclose(forces_of(potential.double(), x), exact, rtol=0, atol=1e-7)


def test_a_potential_that_was_first_asked_without_gradients_gives_them_later():
    potential, x = POTENTIALS["springs"](), deformed().requires_grad_()
    with torch.no_grad():
        assert not forces_of(potential, x).requires_grad
    assert forces_of(potential, x).requires_grad
    with torch.inference_mode():
        inferred = forces_of(potential, x)
    assert torch.equal(inferred, forces_of(potential, x))


class Written(Potential):
    """Springs to the origin, with an energy as a user wrote it."""

    stiffness = Quantity("N/m", positive=True)

    def __init__(self, energy, stiffness=2.0):
        super().__init__()
        self.stiffness, self.function = stiffness, energy
        self.register_buffer("ends", torch.tensor([0, 3]))

    def energy(self, positions):
        return self.function(self, positions)


@pytest.mark.unchecked
@pytest.mark.parametrize(
    "energy",
    [
        lambda self, x: None,
        lambda self, x: x.square().sum(),
        lambda self, x: x.square().sum(-1),
        # Samples that feel each other: the quantity's own axis meets that of the samples.
        lambda self, x: self.stiffness * x.square().sum((-1, -2)),
    ],
    ids=["nothing", "one for all samples", "one per vertex", "one per pair of samples"],
)
def test_an_energy_that_is_not_one_per_sample_is_named(energy):
    potential = Written(energy, torch.full((2, 1), 2.0))
    with pytest.raises(TypeError, match=r"Written.energy must return one energy per sample.*\(2,\), got"):
        potential(State.at_rest(torch.randn(2, 5, 3)))


@pytest.mark.parametrize(
    "energy",
    [
        lambda self, x: x[..., self.ends[0], :].square().sum(-1),
        lambda self, x: x.square().sum((-1, -2)) * x.max().item(),
        lambda self, x: x.square().sum((-1, -2)) if x.max() > 0 else x.sum((-1, -2)),
        lambda self, x: torch.as_tensor(np.asarray(x)).sum((-1, -2)),
    ],
    ids=["an index", "a number", "a branch", "NumPy"],
)
def test_an_energy_that_cannot_be_traced_is_named_with_the_line_in_the_users_file(energy):
    with pytest.raises(TracingError, match=r"test_energy_derivatives.py, line \d+ \(`.*x.*`\)"):
        Written(energy)(State.at_rest(torch.randn(5, 3)))


def test_an_index_that_is_a_tensor_of_one_axis_is_traced():
    potential = Written(lambda self, x: x[..., self.ends, :].square().sum((-1, -2)))
    x = torch.randn(5, 3)
    expected = torch.zeros(5, 3).index_copy(0, potential.ends, -2 * x[potential.ends])
    assert torch.allclose(potential(State.at_rest(x)), expected)

"""Backward of implicit steps with factors that forward has kept."""

import copy
import pickle
import weakref

import pytest
import torch
from support.contacts import dropped, falling

from simlayer import (
    BDF2,
    BackwardEuler,
    ElasticForce,
    Equilibrium,
    KelvinVoigt,
    Newmark,
    RolloutModule,
    SparseDirect,
    StableNeoHookean,
    State,
    box_mesh,
)
from simlayer.solvers.multifrontal import CholeskyFactor
from simlayer.steps import implicit_solve, nearby_factor

pytestmark = pytest.mark.usefixtures("float64_throughout")

E = "forces.elastic.material.log_youngs_modulus"
COUNT = 3
BUDGET = 2**30


@pytest.fixture(autouse=True)
def small_factors_are_worth_keeping(monkeypatch):
    monkeypatch.setattr(implicit_solve, "_WORTH_STATICS", 0)
    monkeypatch.setattr(implicit_solve, "_WORTH_STEPS", 0)


@pytest.fixture
def factors(monkeypatch):
    """Weak references to the storage of all factors that are made."""
    made = []
    original = CholeskyFactor.__init__

    def noted(self, *arguments):
        original(self, *arguments)
        made.append(weakref.ref(self.storage))

    monkeypatch.setattr(CholeskyFactor, "__init__", noted)
    return made


@pytest.fixture(scope="module")
def mesh(float64_throughout):
    return box_mesh(cells=(3, 1, 1), size=(0.09, 0.03, 0.03))


@pytest.fixture(scope="module")
def forces(mesh):
    elastic = ElasticForce(mesh, StableNeoHookean(2e4, 0.4))
    return {"elastic": elastic, "viscosity": KelvinVoigt(mesh, shear_viscosity=5.0)}


def moving(mesh):
    return State(mesh.vertices, mesh.vertices[:, :1] * torch.tensor([0.0, 0.5, 1.0]))


def rollout(mesh, forces, kind=BackwardEuler, count=COUNT, **options):
    own = copy.deepcopy(forces)
    if kind is Equilibrium:
        del own["viscosity"]
    step = kind(mesh, own, dt=5e-3, gravity=(0.0, 0.0, -9.81), fixed="x_min", solver=SparseDirect())
    return RolloutModule(step, count, **options)


def weighed(positions):
    return (positions * torch.linspace(-1, 1, positions.numel()).view_as(positions)).sum()


def gradient(module, state, values=None):
    """Return the gradient of the end by the modulus."""
    (own,) = module.train_only(E)
    modulus = own if values is None else values.log().requires_grad_()
    end = module(state, {} if values is None else {E: modulus})
    return torch.autograd.grad(weighed(end.positions), modulus)[0]


def difference(found, expected):
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("kind", [BackwardEuler, Newmark, BDF2, Equilibrium])
@pytest.mark.parametrize("moduli", [None, torch.tensor([[1e4], [4e4]])])
def test_gradients_with_kept_factors_are_those_without(mesh, forces, kind, moduli, factors):
    values = None if moduli is None else moduli.double()
    found, made = [], []
    for budget in (0, BUDGET):
        before = len(factors)
        found.append(gradient(rollout(mesh, forces, kind, memory_budget=budget), moving(mesh), values))
        made.append(len(factors) - before)
    # Adjoint systems are solved to a residual of 1e-9.
    assert difference(*found) < 1e-9
    assert made[0] - made[1] == COUNT * (1 if values is None else 2), "backward made factors of its own"


def test_gradients_through_a_contact_with_kept_factors_are_those_without():
    found = []
    for budget in (0, BUDGET):
        step = dropped("sphere", Newmark, dt=4e-3, solver=SparseDirect())
        found.append(gradient(RolloutModule(step, 6, memory_budget=budget), falling()))
    assert difference(*found) < 1e-9


def kept_bytes(module, state):
    """Return how much backward keeps, apart from what all steps share."""
    sizes = {}

    def note(tensor):
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    module.train_only(E)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        end = module(state)
    return sum(sizes.values()), end


def test_factors_are_kept_where_one_for_each_step_fits_the_memory_budget(mesh, forces, factors):
    module = rollout(mesh, forces, memory_budget=BUDGET)
    kept, _ = kept_bytes(module, moving(mesh))
    size = factors[-1]().nbytes
    module.memory_budget = COUNT * size
    assert kept_bytes(module, moving(mesh))[0] == kept
    module.memory_budget = COUNT * size - 1
    assert kept_bytes(module, moving(mesh))[0] == kept - COUNT * size
    assert module.step.memory_budget == 0, "the step has kept the share of a call"


def test_a_step_by_itself_keeps_nothing_and_an_equilibrium_its_factor(mesh, forces, factors):
    for kind, expected in ((BackwardEuler, False), (Equilibrium, True)):
        step = rollout(mesh, forces, kind).step
        step.requires_grad_()
        end = step(moving(mesh))
        assert (factors[-1]() is not None) == expected
        del end
        assert factors[-1]() is None


def test_factors_are_freed_by_backward_though_the_loss_lives_on(mesh, forces, factors):
    module = rollout(mesh, forces)
    module.train_only(E)
    loss = weighed(module(moving(mesh)).positions)
    assert sum(reference() is not None for reference in factors) == COUNT
    loss.backward()
    assert not any(reference() is not None for reference in factors)


def test_a_retained_graph_gives_the_same_gradient_again(mesh, forces):
    module = rollout(mesh, forces)
    (modulus,) = module.train_only(E)
    end = module(moving(mesh)).positions
    loss = weighed(end)
    first, second = (torch.autograd.grad(loss, modulus, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
    twice = torch.autograd.grad(loss + loss, modulus)[0]
    assert difference(twice, 2 * first) < 1e-9


@pytest.mark.parametrize("checkpoint", [2, "sqrt"])
def test_checkpointed_gradients_with_kept_factors_are_plain_ones(mesh, forces, checkpoint):
    found = [
        gradient(rollout(mesh, forces, count=5, checkpoint=each), moving(mesh))
        for each in (checkpoint, "none")
    ]
    torch.testing.assert_close(*found, rtol=1e-12, atol=0)


def test_copies_of_a_rollout_that_has_kept_factors_have_its_gradient(mesh, forces):
    module = rollout(mesh, forces)
    expected = gradient(module, moving(mesh))
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(gradient(twin, moving(mesh)), expected)


def test_backward_makes_a_factor_where_the_kept_one_is_of_no_use(mesh, forces, factors, monkeypatch):
    expected = gradient(rollout(mesh, forces, memory_budget=0), moving(mesh))
    monkeypatch.setattr(nearby_factor, "_MOST_ITERATIONS", 0)
    made = len(factors)
    assert torch.equal(gradient(rollout(mesh, forces), moving(mesh)), expected)
    assert len(factors) == 2 * made


def test_forward_mode_has_no_use_for_kept_factors(mesh, forces):
    derivatives = []
    for budget in (0, BUDGET):
        module = rollout(mesh, forces, memory_budget=budget)
        module.requires_grad_(False)
        modulus = torch.tensor([2e4]).log()

        def run(value, module=module):
            return module(moving(mesh), {E: value}).positions

        derivatives.append(torch.func.jvp(run, (modulus,), (torch.ones_like(modulus),))[1])
    assert torch.equal(*derivatives)


def test_single_precision_solves_as_exactly_as_without_kept_factors(mesh, forces):
    found = [
        gradient(rollout(mesh, forces, memory_budget=budget).float(), moving(mesh).to(torch.float32))
        for budget in (0, BUDGET)
    ]
    assert torch.equal(*found)

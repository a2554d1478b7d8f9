"""Attributes of modules: settings are checked whenever they are assigned, and misspelt names are refused."""

import copy
import pickle

import pytest
import torch
from support.quantities import Spring
from support.scenes import beam, moving, same

from simlayer import (
    KelvinVoigt,
    NeoHookean,
    PhysicalModule,
    Quantity,
    RolloutModule,
    StableNeoHookean,
    box_mesh,
)

pytestmark = pytest.mark.usefixtures("float64")


class Drag(PhysicalModule):
    """A module that a user writes, with attributes of every kind."""

    coefficient = Quantity("1/s", positive=True)

    def __init__(self, coefficient=1.0):
        super().__init__()
        self.coefficients = ["a plain attribute with a similar name"]
        self.anything = 1
        self.coefficient = coefficient

    def remember(self, value):
        self.last = value


@pytest.mark.parametrize(
    ("make", "name", "value", "message"),
    [
        (lambda: StableNeoHookean(1e5, 0.3), "youngs_moduls", 2e5, "did you mean 'youngs_modulus'"),
        (
            lambda: StableNeoHookean(1e5, 0.3),
            "youngs_moduls",
            torch.nn.Parameter(torch.ones(1)),
            "did you mean",
        ),
        (lambda: StableNeoHookean(1e5, 0.3), "E", 2e5, "poissons_ratio"),
        (lambda: StableNeoHookean(1e5, 0.3), "mu", 2e5, "mu .* follows from youngs_modulus, poissons_ratio"),
        (lambda: StableNeoHookean(1e5, 0.3), "lam", torch.nn.Parameter(torch.ones(1)), "lam .* follows from"),
        (lambda: StableNeoHookean(1e5, 0.3), "logarithm", False, "logarithm .* is fixed when it is made"),
        (lambda: NeoHookean(1e5, 0.3), "range", (0.5, 2.0), "range .* is fixed when it is made"),
        (beam, "gravitiy", (0.0, 0.0, 0.0), "did you mean 'gravity'"),
        (beam, "vertex_masses", torch.ones(16), "vertex_masses .* follows from"),
        (lambda: RolloutModule(beam(), 3), "num_step", 7, "did you mean 'num_steps'"),
        (lambda: RolloutModule(beam(), 3), "compile", False, "did you mean 'compiler'"),
        (Drag, "coeficient", 2.0, "did you mean 'coefficient'"),
    ],
)
def test_a_name_that_means_nothing_is_refused_with_the_nearest_one(make, name, value, message):
    module = make()
    before = vars(module).keys() | module._parameters.keys()
    with pytest.raises(AttributeError, match=message):
        setattr(module, name, value)
    assert vars(module).keys() | module._parameters.keys() == before


@pytest.mark.parametrize(
    ("make", "name", "value", "message"),
    [
        (beam, "dt", -1, "dt must be a positive finite number in s, .*got -1"),
        (beam, "dt", "auto", "dt must be a positive finite number in s, .*got 'auto'"),
        (beam, "dt", torch.tensor(1e-3, requires_grad=True), "dt must be .* requires grad"),
        (beam, "substeps", 0, "substeps must be an int, at least 1, got 0"),
        (beam, "substeps", 1.5, "substeps must be an int"),
        (lambda: RolloutModule(beam(), 3), "num_steps", -3, "num_steps must be an int, at least 1, got -3"),
        (lambda: RolloutModule(beam(), 3), "checkpoint", "bogus", "checkpoint must be .*, got 'bogus'"),
        (lambda: RolloutModule(beam(), 3), "checkpoint", True, "checkpoint must be .*, got True"),
        (lambda: RolloutModule(beam(), 3), "compiler", None, "compiler must be True, False, 'auto' or"),
        (lambda: RolloutModule(beam(), 3), "memory_budget", "1 GB", "memory_budget must be"),
        (lambda: RolloutModule(beam(), 3), "validate", "no", "validate must be True or False, got 'no'"),
    ],
)
def test_what_is_checked_at_construction_is_checked_at_assignment(make, name, value, message):
    module = make()
    before = getattr(module, name)
    with pytest.raises((TypeError, ValueError), match=message):
        setattr(module, name, value)
    assert getattr(module, name) == before


def test_settings_may_be_numbers_of_any_kind():
    step = beam()
    step.dt, step.substeps = torch.tensor(1e-3), torch.tensor(4)
    assert (step.dt, step.substeps, step.h) == (1e-3, 4, 2.5e-4)


def test_a_users_own_attributes_are_free_unless_they_are_nearly_those_of_a_quantity():
    drag = Drag()
    drag.anything, drag.label, drag._private = 2, "second", 3
    drag.coefficients = []
    drag.remember(5)
    drag.inner = torch.nn.Linear(1, 1)
    assert (drag.anything, drag.label, drag.last) == (2, "second", 5)
    assert "inner.weight" in drag.state_dict()


def test_methods_may_be_replaced_by_functions_and_modules_attached():
    step = beam()
    step.substep = lambda state: state
    assert step(moving()).positions is not None
    step.net = torch.nn.Linear(1, 1)
    step.register_buffer("extra", torch.ones(1))
    step.extra = torch.zeros(1)


def test_a_quantity_assigned_before_the_base_class_is_ready_is_answered_with_the_remedy():
    class Hasty(PhysicalModule):
        stiffness = Quantity("N/m", positive=True)

        def __init__(self):
            self.stiffness = 1.0

    with pytest.raises(AttributeError, match=r"Hasty is given stiffness too early: call super\(\).__init__"):
        Hasty()


def test_copies_and_pickles_have_the_settings_and_refuse_the_same():
    rollout = RolloutModule(beam(), 3, checkpoint=2, compile=False)
    for twin in (copy.deepcopy(rollout), copy.copy(rollout)):
        assert same(twin(moving()), rollout(moving()))
        assert (twin.num_steps, twin.checkpoint, twin.step.dt) == (3, 2, rollout.step.dt)
        with pytest.raises(AttributeError, match="did you mean 'num_steps'"):
            twin.num_step = 7
    assert pickle.loads(pickle.dumps(Spring(3.0))).stiffness.item() == pytest.approx(3.0)


def test_hooks_casts_and_parametrizations_work_as_on_any_module():
    viscosity = KelvinVoigt(box_mesh(cells=(1, 1, 1)), shear_viscosity=2.0)
    viscosity.register_forward_hook(lambda *_: None)
    viscosity.float().double().eval().requires_grad_(True).zero_grad()
    spring = Spring(3.0)
    torch.nn.utils.parametrize.register_parametrization(spring, "weight", torch.nn.Identity())
    assert spring.weight.shape == (2,)


def test_the_signature_of_a_constructor_is_its_own():
    import inspect

    assert list(inspect.signature(RolloutModule).parameters)[:2] == ["step", "num_steps"]

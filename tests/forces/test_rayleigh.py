"""Rayleigh damping: the force that it refers to, and its names."""

import copy
import pickle

import pytest
import torch
from support.rates import Drag, body, elasticity, made, size

from simlayer import ElasticForce, NodalLoad, RayleighDamping, StableNeoHookean, State, SymplecticEuler

pytestmark = pytest.mark.usefixtures("float64")


def damped(**options):
    forces = {"elastic": copy.deepcopy(elasticity("tet4"))}
    forces |= {"damping": RayleighDamping("elastic", coefficient=1e-3)} | options.pop("forces", {})
    return SymplecticEuler(body(), forces, dt=1e-4, **options)


def test_rayleigh_damping_is_beta_times_the_stiffness_there():
    rate, x, v = made("Rayleigh hex20")
    elastic = elasticity("hex20")
    assert torch.equal(rate(State(x, v)), -0.2 * elastic.hessian_product(x, v))
    assert torch.equal(rate.damping_bound(State(x, v)), 0.2 * elastic.stiffness_bound(State(x, v)))


def test_the_force_that_damping_refers_to_keeps_a_single_name():
    step = damped()
    names = [name for name, _ in step.named_parameters(remove_duplicate=False)]
    assert len(names) == len(set(names))
    assert [name for name in names if name.startswith("forces.damping")] == ["forces.damping.log_coefficient"]
    assert not [name for name, _ in step.named_modules() if name.startswith("forces.damping.")]
    assert "forces.damping.log_coefficient" in step.state_dict()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda step: pickle.loads(pickle.dumps(step))])
def test_damping_in_a_copied_step_refers_to_the_copied_force(copied):
    step = copied(damped())
    x, v = body().vertices, torch.randn(len(body().vertices), 3)
    before = step.forces["damping"](State(x, v))
    step.forces["elastic"].material.youngs_modulus = 6.0
    assert torch.allclose(step.forces["damping"](State(x, v)), 2 * before, rtol=1e-12)


def test_damping_follows_a_step_to_another_precision_and_a_force_that_is_replaced():
    step, (x, v) = damped(), (body().vertices, torch.randn(len(body().vertices), 3))
    exact = step.forces["damping"](State(x, v))
    single = step.float().forces["damping"](State(x.float(), v.float()))
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), exact, rtol=0, atol=1e-5 * size(exact))
    step.double().forces["elastic"] = ElasticForce(body(), StableNeoHookean(9.0, 0.3))
    again = step.forces["damping"](State(x, v))
    assert torch.allclose(again, 3 * exact, rtol=1e-5, atol=1e-5 * size(exact))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("elastc", r"refers to a force 'elastc' that the step does not have; did you mean 'elastic'\?"),
        ("zzz", r"'zzz' that the step does not have; there are \['elastic', 'other', 'damping'\]"),
        ("other", r"needs the stiffness of a Potential, such as ElasticForce, but 'other' is Drag"),
        ("damping", r"needs the stiffness of a Potential.* 'damping' is RayleighDamping"),
    ],
)
def test_a_name_that_damping_can_not_refer_to_is_refused(name, message):
    forces = {"elastic": copy.deepcopy(elasticity("tet4")), "other": Drag(1.0)}
    with pytest.raises(ValueError, match=message):
        SymplecticEuler(body(), forces | {"damping": RayleighDamping(name, coefficient=1.0)}, dt=1e-4)


def test_damping_outside_a_step_says_what_it_lacks():
    damping = RayleighDamping("elastic", coefficient=1.0)
    with pytest.raises(RuntimeError, match="can use the force 'elastic' only as part of a step"):
        damping(State.at_rest(body().vertices))


def test_damping_may_refer_to_a_potential_that_a_user_wrote_and_to_a_load():
    load = NodalLoad(body(), torch.ones(1, 3))
    step = damped(forces={"load": load, "none": RayleighDamping("load", coefficient=1.0)})
    x = body().vertices
    assert not step.forces["none"](State(x, x)).any()

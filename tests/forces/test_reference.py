"""References to a force of a step by its name."""

import copy
import pickle

import pytest
import torch
from support.scenes import free_box

from simlayer import RayleighDamping, State, SymplecticEuler, box_mesh

pytestmark = pytest.mark.usefixtures("float64")


def damped(damping=None):
    return free_box((1, 1, 1), forces={"damping": damping or RayleighDamping("elastic", coefficient=1e-3)})


def moving():
    x = box_mesh(cells=(1, 1, 1), size=(0.1, 0.1, 0.1)).vertices
    return State(x, 0.1 * torch.ones_like(x) * x)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda step: pickle.loads(pickle.dumps(step))])
def test_a_copy_of_a_step_refers_to_the_forces_of_the_copy(duplicate):
    step = damped()
    other = duplicate(step)
    assert other.forces["damping"].potential.get() is other.forces["elastic"]
    assert len(list(other.named_parameters())) == len(list(step.named_parameters()))


def test_a_force_that_is_replaced_is_referred_to():
    step = damped()
    before = step(moving())
    stiffer = copy.deepcopy(step.forces["elastic"])
    stiffer.material.youngs_modulus = 4e5
    step.forces["elastic"] = stiffer
    assert step.forces["damping"].potential.get() is stiffer
    assert not torch.equal(step(moving()).velocities, before.velocities)


def test_two_steps_may_share_what_refers_to_the_same_force_but_not_to_different_ones():
    damping = RayleighDamping("elastic", coefficient=1e-3)
    first = damped(damping)
    mesh = box_mesh(cells=(1, 1, 1), size=(0.1, 0.1, 0.1))
    second = SymplecticEuler(mesh, dict(first.forces.items()), dt=1e-3)
    assert torch.equal(first(moving()).velocities, second(moving()).velocities)
    first.forces["elastic"] = copy.deepcopy(first.forces["elastic"])
    with pytest.raises(ValueError, match="RayleighDamping belongs to steps with different forces 'elastic'"):
        first(moving())


def test_outside_a_step_there_is_no_force_to_refer_to():
    with pytest.raises(RuntimeError, match="'elastic' only as part of a step that has both"):
        RayleighDamping("elastic", coefficient=1e-3)(moving())

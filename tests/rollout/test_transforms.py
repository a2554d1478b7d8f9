"""Transforms of `torch.func`: forward mode on every rollout, the others on eager ones of explicit steps."""

import pytest
import torch
from support.scenes import beam, moving, noise
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap

from simlayer import BackwardEuler, ElasticForce, RolloutModule, StableNeoHookean, box_mesh

pytestmark = pytest.mark.usefixtures("float64")

MODULI = torch.tensor([1e5, 2e5], dtype=torch.float64)


def end_of(step, **options):
    """The coordinates at the end of a few steps as a function of Young's modulus."""
    rollout = RolloutModule(step, 3, **{"compile": False, "checkpoint": "none", **options})
    start = moving()
    return lambda modulus: rollout(start, {"youngs_modulus": modulus}).positions.flatten()


@pytest.mark.parametrize("jacobian", [jacrev, jacfwd])
def test_jacobians_of_an_eager_rollout_equal_those_of_autograd(jacobian):
    end = end_of(beam(), checkpoint="auto", compile="auto")
    expected = torch.autograd.functional.jacobian(end, MODULI[0])
    assert torch.allclose(jacobian(end)(MODULI[0]), expected, rtol=1e-10, atol=1e-12 * expected.abs().max())


def test_an_unvalidated_rollout_can_be_mapped():
    end = end_of(beam(), validate=False)
    assert torch.allclose(vmap(end)(MODULI), torch.stack([end(modulus) for modulus in MODULI]), rtol=1e-13)


@pytest.mark.parametrize(
    ("transform", "options", "message"),
    [
        (vmap, {}, r"vmap hides the values of forces.elastic.material.youngs_modulus.*validate=False"),
        (jacrev, {"checkpoint": 2}, r"checkpoint=2 cannot be called .* checkpoint='none'"),
        (grad, {"compile": "eager"}, r"a compiled rollout cannot .* compile=False"),
    ],
)
def test_a_transform_that_cannot_work_is_refused_with_the_remedy(transform, options, message):
    end = end_of(beam(), **options)
    with pytest.raises(RuntimeError, match=message):
        transform(end)(MODULI if transform is vmap else MODULI[0])


@pytest.mark.parametrize("transform", [grad, jacrev])
def test_an_implicit_step_refuses_reverse_transforms_with_the_remedy(transform):
    mesh = box_mesh(cells=(3, 1, 1), size=(0.3, 0.1, 0.1))
    elastic = ElasticForce(mesh, StableNeoHookean(1e5, 0.4))
    end = end_of(BackwardEuler(mesh, {"elastic": elastic}, dt=1e-3))
    with pytest.raises(RuntimeError, match=r"implicit step .* torch.autograd.grad"):
        transform(end)(MODULI[0])


def test_second_derivatives_are_those_of_jacrev_around_either():
    end = end_of(beam())
    weights = noise(*end(MODULI[0]).shape)
    change = 1e-3 * MODULI[0]
    # The truncation error of the difference is 1e-7 of the third derivative's share.
    expected = (
        sum(
            factor * (end(MODULI[0] + shift) * weights).sum()
            for factor, shift in ((1, change), (-2, 0 * change), (1, -change))
        )
        / change.square()
    )
    for inner in (jacfwd, jacrev):
        found = jacrev(inner(lambda modulus: (end(modulus) * weights).sum()))(MODULI[0])
        assert float(found) == pytest.approx(float(expected), rel=1e-3)


def nested_jvp(end):
    one = torch.ones_like(MODULI[0])
    return lambda modulus: jvp(lambda x: jvp(end, (x,), (one,))[1], (modulus,), (one,))


@pytest.mark.parametrize("transform", [lambda end: jacfwd(jacfwd(end)), hessian, nested_jvp])
def test_forward_mode_around_another_transform_is_refused_with_the_remedy(transform):
    with pytest.raises(
        RuntimeError, match=r"jvp or jacfwd .* around another .*jacrev around jacfwd or jacrev"
    ):
        transform(end_of(beam()))(MODULI[0])

"""Priors beside tests: what is minimized, its derivatives, and what priors tell of a field."""

import itertools

import pytest
import torch
from support.scenes import noise

from simlayer import DistributedLoad, ElasticForce, Equilibrium, LinearElastic, box_mesh
from simlayer.identification.priors import SmoothnessPrior
from simlayer.laboratory import DisplacementTest, identify_tests
from simlayer.laboratory.joint_problem import JointProblem

pytestmark = pytest.mark.usefixtures("float64")

CELLS = 4


def bar(moduli):
    mesh = box_mesh(cells=(CELLS, 1, 1), size=(0.4, 0.1, 0.1), element="hex8")
    load = DistributedLoad(mesh, "x_max", force=(20.0, 0.0, 0.0))
    elastic = ElasticForce(mesh, LinearElastic(torch.as_tensor(moduli), 0.3))
    return Equilibrium(mesh, {"elastic": elastic, "load": load}, fixed="x_min")


def seen(moduli, size=0.0):
    step = bar(moduli)
    points = step.elements.mesh.vertices
    with torch.no_grad():
        exact = DisplacementTest(step, points, torch.zeros_like(points)).simulated()
    return points, exact + size * noise(*exact.shape, seed=3)


def smooth(weight, sharpness=0.1):
    mesh = box_mesh(cells=(CELLS, 1, 1), size=(0.4, 0.1, 0.1), element="hex8")
    return {"smooth": SmoothnessPrior(mesh, "youngs_modulus", weight=weight, sharpness=sharpness)}


def test_the_expansion_is_that_of_the_mean_of_squares_and_the_prior():
    moduli = torch.tensor([1e5, 2e5, 1.5e5, 1e5])
    test = DisplacementTest(bar(moduli), *seen(1e5), noise=1e-4)
    problem = JointProblem([test], ["youngs_modulus"], smooth(1e-2))
    stored, prior = problem.unknowns[0].parameter, problem.priors[0]
    stored.requires_grad_()
    value = (test.residuals() / 1e-4).square().mean() + prior(stored)
    (gradient,) = torch.autograd.grad(value, stored)
    stored.requires_grad_(False)
    found = problem.equations()
    torch.testing.assert_close(found.loss, value.detach())
    torch.testing.assert_close(found.gradient, gradient, rtol=1e-8, atol=1e-8 * float(gradient.abs().max()))
    # The prior alone is expanded exactly: a step of it tells the change to third order.
    plain = JointProblem([test], ["youngs_modulus"], {}).equations()
    step = 1e-3 * torch.tensor([1.0, -2.0, 0.5, 1.0])
    change = (found.gradient - plain.gradient) @ step + step @ (found.curvature - plain.curvature) @ step / 2
    with torch.no_grad():
        exact = prior(stored + step) - prior(stored)
    assert float(change) == pytest.approx(float(exact), rel=1e-3)


def test_a_prior_draws_neighbours_together_and_makes_them_surer():
    fits = []
    for weight in (1e-8, 30.0):
        test = DisplacementTest(bar([1e5] * CELLS), *seen([1e5, 1e5, 3e5, 3e5], 1e-4), noise=1e-4)
        fits.append(identify_tests(test, "youngs_modulus", priors=smooth(weight)))
    loose, tight = (fit.uncertainty.values.log() for fit in fits)
    assert float(tight.diff().abs().sum()) < 0.8 * float(loose.diff().abs().sum())
    # Where the prior is wrong it leaves larger residuals, from which the noise is estimated.
    linear = [fit.uncertainty.linear for fit in fits]
    errors = [part.covariance.diagonal().sqrt() / part.noise for part in linear]
    assert (errors[1] < errors[0]).all()
    assert fits[1].uncertainty.linear.numbers == int((~torch.isnan(seen(1e5)[1])).sum())
    assert f"{CELLS} values" in str(fits[0])


def test_steps_are_reported_with_what_is_left():
    steps = []
    test = DisplacementTest(bar(2e5), *seen(1e5))
    found = identify_tests(test, "youngs_modulus", on_step=lambda *each: steps.append(each))
    assert [count for count, _ in steps] == list(range(1, found.steps + 1))
    assert all(after <= before for (_, before), (_, after) in itertools.pairwise(steps))


def test_priors_of_something_else_are_refused():
    test = DisplacementTest(bar([1e5] * CELLS), *seen(1e5))
    with pytest.raises(ValueError, match=r"priors has one of forces\.elastic\.material\.youngs_modulus"):
        identify_tests(test, "poissons_ratio", priors=smooth(1.0))
    with pytest.raises(TypeError, match="SmoothnessPrior"):
        identify_tests(test, "youngs_modulus", priors={"smooth": 1.0})
    uniform = DisplacementTest(bar(1e5), *seen(1e5))
    with pytest.raises(ValueError, match="one value per cell"):
        identify_tests(uniform, "youngs_modulus", priors=smooth(1.0))

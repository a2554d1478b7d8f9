"""Gauss-Newton: few steps to the minimum, the same after an interruption, none after convergence."""

import copy

import pytest
import torch
from torch import nn

from simlayer.identification.gauss_newton import GaussNewton
from simlayer.identification.normal_equations import NormalEquations

pytestmark = pytest.mark.usefixtures("float64")


def rosenbrock(x):
    """Residuals whose sum of squares has a narrow curved valley, with its minimum of 0 at (1, 1)."""
    return torch.stack([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def exponential(x):
    """Residuals of a decay observed with errors, whose minimum is not zero."""
    times = torch.linspace(0, 2, 20)
    errors = 0.05 * torch.sin(37 * times)
    return x[0].exp() * torch.exp(-x[1].exp() * times) - (3 * torch.exp(-1.5 * times) + errors)


class Problem:
    """Residuals of a vector, evaluated by an optimizer."""

    def __init__(self, residuals, start, *, dtype=torch.float64, **options):
        self.residuals, self.calls = residuals, 0
        self.x = nn.Parameter(torch.tensor(start, dtype=dtype))
        self.optimizer = GaussNewton([self.x], **options)

    def __call__(self):
        self.calls += 1
        x = self.x.detach()
        value, jacobian = self.residuals(x), torch.func.jacfwd(self.residuals)(x)
        self.optimizer.equations = NormalEquations.of(value, jacobian, torch.tensor(1 + len(value) // 3))

    def solve(self, steps=100):
        for step in range(steps):
            if self.optimizer.converged:
                return step
            self.optimizer.step(self)
        return steps


def test_the_end_of_a_curved_valley_is_found():
    problem = Problem(rosenbrock, [-1.2, 1.0])
    assert problem.solve() < 30
    torch.testing.assert_close(problem.x.data, torch.ones(2), rtol=1e-10, atol=0)


def test_a_minimum_with_residuals_is_where_their_gradient_vanishes():
    problem = Problem(exponential, [0.0, 0.0], precision=1e-9)
    assert problem.solve() <= 10
    gradient = problem.optimizer.equations.gradient
    # A step of 1e-9 is negligible.
    assert float(gradient.norm()) < 1e-7 * float(problem.optimizer.equations.curvature.norm())


def test_the_loss_never_rises():
    problem, losses = Problem(rosenbrock, [-1.2, 1.0]), []
    while not problem.optimizer.converged:
        losses.append(problem.optimizer.step(problem))
    assert losses == sorted(losses, reverse=True)


def test_no_step_is_longer_than_the_trust_radius():
    problem = Problem(exponential, [3.0, 3.0], trust_radius=0.1)
    problem.optimizer.step(problem)
    assert float((problem.x.data - 3).norm()) <= 0.1 * (1 + 1e-8)


def test_a_fit_ends_where_its_minimum_is_near_in_standard_errors():
    exact, problem = (Problem(exponential, [0.0, 0.0], precision=p) for p in (1e-9, 0.03))
    exact.solve()
    problem.solve()
    assert problem.calls < exact.calls
    residuals, jacobian = (f(exact.x.data) for f in (exponential, torch.func.jacfwd(exponential)))
    variance = residuals.square().mean() * torch.linalg.inv(jacobian.T @ jacobian).diag()
    # Gauss-Newton sees the distance but for the curvature of the residuals, a few per cent of it.
    assert bool(((problem.x.data - exact.x.data).abs() < 0.04 * variance.sqrt()).all())


def test_once_converged_nothing_is_evaluated_until_the_values_are_changed():
    problem = Problem(exponential, [0.0, 0.0], precision=1e-6)
    problem.solve()
    calls, found = problem.calls, problem.x.data.clone()
    problem.optimizer.step(problem)
    assert problem.calls == calls
    problem.x.data += 0.5
    problem.optimizer.step(problem)
    problem.solve()
    # A step that reduces the loss by a share of 1e-9 is negligible.
    torch.testing.assert_close(problem.x.data, found, rtol=1e-4, atol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_resumed_from_its_state_it_takes_the_same_steps_to_the_last_bit(dtype):
    whole = Problem(rosenbrock, [-1.2, 1.0], dtype=dtype)
    for _ in range(3):
        whole.optimizer.step(whole)
    part = Problem(rosenbrock, whole.x.tolist(), dtype=dtype)
    part.optimizer.load_state_dict(copy.deepcopy(whole.optimizer.state_dict()))
    for problem in (whole, part):
        problem.calls = 0
        problem.solve(4)
    assert torch.equal(whole.x, part.x)
    assert whole.calls == part.calls


def test_what_cannot_be_evaluated_is_approached_by_shorter_steps():
    """The first step would lead beyond 1, where there is nothing."""

    class Walled(Problem):
        def __call__(self):
            if float(self.x.detach()) < 1:
                return super().__call__()
            assert self.optimizer.may_retreat
            self.optimizer.equations = NormalEquations.failed(1, torch.device("cpu"))
            return None

    problem = Walled(lambda x: x.exp() - 2.5, [-0.9], trust_radius=4.0)
    problem.solve()
    assert float(problem.x.detach()) == pytest.approx(torch.tensor(2.5).log().item(), rel=1e-10)


def test_single_precision_converges_to_its_own_accuracy():
    problem = Problem(exponential, [0.0, 0.0], dtype=torch.float32)
    assert problem.solve() <= 12
    exact = Problem(exponential, [0.0, 0.0])
    exact.solve()
    torch.testing.assert_close(problem.x.data.double(), exact.x.data, rtol=1e-4, atol=0)


def test_parts_of_the_residuals_add_up_to_the_whole():
    """Two processes have a third and two thirds of the rows; each gets the sum."""
    J, r = torch.randn(9, 3), torch.randn(9)
    whole = NormalEquations.of(r, J, torch.tensor(9))
    parts = [
        NormalEquations.of(r[:3], J[:3], torch.tensor(3)),
        NormalEquations.of(r[3:], J[3:], torch.tensor(6)),
    ]
    sent = []
    parts[1].over_processes(lambda tensor: sent.append(tensor) or tensor)
    reduced = parts[0].over_processes(lambda tensor: tensor + sent[0])
    for found, expected in zip(reduced, whole, strict=True):
        torch.testing.assert_close(found, expected.double())


def test_the_loss_of_normal_equations_has_their_gradient():
    parameters = [nn.Parameter(torch.ones(2, 1)), nn.Parameter(torch.tensor(3.0))]
    equations = NormalEquations.of(torch.tensor([2.0, 1.0]), torch.arange(6.0).reshape(2, 3), torch.tensor(2))
    loss = equations.as_loss(parameters)
    loss.backward()
    assert float(loss.detach()) == 2.5
    torch.testing.assert_close(parameters[0].grad, equations.gradient[:2, None])
    torch.testing.assert_close(parameters[1].grad, equations.gradient[2])


@pytest.mark.parametrize("closure", [lambda: torch.tensor(1.0), lambda: None])
def test_a_closure_that_gives_the_loss_alone_is_refused_with_the_remedy(closure):
    problem = Problem(rosenbrock, [-1.2, 1.0])
    problem.optimizer.step(problem)
    for optimizer in (problem.optimizer, Problem(rosenbrock, [-1.2, 1.0]).optimizer):
        with pytest.raises(TypeError, match=r"closure must assign .*`equations`.*LBFGS"):
            optimizer.step(closure)


@pytest.mark.unchecked
def test_equations_of_another_kind_or_size_are_refused():
    optimizer = Problem(rosenbrock, [-1.2, 1.0]).optimizer
    with pytest.raises(TypeError, match=r"equations must be of class NormalEquations, got 1.0"):
        optimizer.equations = 1.0
    with pytest.raises(ValueError, match=r"equations must be those of 2 unknown numbers, got .* \(3, 3\)"):
        optimizer.equations = NormalEquations.of(torch.ones(4), torch.ones(4, 3), torch.tensor(1))
    with pytest.raises(AttributeError, match=r"no equations before"):
        _ = optimizer.equations


def test_residuals_that_are_not_finite_to_begin_with_are_refused():
    problem = Problem(lambda x: x.log(), [-1.0])
    with pytest.raises(
        ValueError, match=r"closure must assign equations that are finite .* got a loss of nan"
    ):
        problem.optimizer.step(problem)


@pytest.mark.unchecked
def test_parameters_are_at_least_one_and_no_groups():
    with pytest.raises(ValueError, match=r"params must hold at least one parameter, got none"):
        GaussNewton([])
    with pytest.raises(TypeError, match=r"params\[0\] must be a tensor of .* got .*dict"):
        GaussNewton([{"params": [nn.Parameter(torch.ones(1))]}])

"""`check_gradients` finds right gradients right, and wrong ones wrong."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from simlayer import (
    ElasticForce,
    Force,
    MassDamping,
    Quantity,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
    check_gradients,
)
from simlayer.rollout.gradient_check import compare_gradients

LOG_E = "forces.elastic.material.log_youngs_modulus"


pytestmark = pytest.mark.usefixtures("float64")


class HalfHiddenPush(Force):
    """A push whose gradient is lost for half of the vertices: what a careless `detach` does."""

    push = Quantity("N", over="vertex vectors")

    def __init__(self, push: Tensor) -> None:
        super().__init__()
        self.push = push

    def forward(self, state: State) -> Tensor:
        first = torch.arange(state.positions.shape[-2])[:, None] % 2 == 0
        return torch.where(first, self.push, self.push.detach()).expand_as(state.positions)


def scene(**forces: Force) -> tuple[RolloutModule, State]:
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))
    elastic = ElasticForce(mesh, StableNeoHookean(torch.full((12,), 1e5), 0.4))
    step = SymplecticEuler(
        mesh, {"elastic": elastic, **forces}, dt=5e-4, dissipation={"damping": MassDamping(3.0)}
    )
    return RolloutModule(step, 5, compile=False), State(mesh.vertices, 0.1 * torch.randn_like(mesh.vertices))


def loss(final: State) -> Tensor:
    return final.positions.square().mean()


def test_gradients_of_a_scene_pass_and_print_as_a_table():
    rollout, state = scene()
    names = [LOG_E, "log_density", "dissipation.damping.log_coefficient", "positions", "velocities"]
    report = check_gradients(rollout, state, loss, names)
    assert report.passed
    assert [check.name for check in report.checks] == names
    assert all(check.relative_error < 1e-6 for check in report.checks)
    assert all(name in str(report) for name in names)
    assert "WRONG" not in str(report)


def test_a_gradient_that_misses_half_of_its_entries_is_found_wrong():
    rollout, state = scene(push=HalfHiddenPush(0.1 * torch.randn(12, 3)))
    report = check_gradients(rollout, state, loss, ["forces.push.push", LOG_E])
    assert [check.passed for check in report.checks] == [False, True]
    assert not report.passed
    assert "WRONG" in str(report)


def test_quantities_given_for_the_call_are_checked_where_they_are_given():
    rollout, state = scene()
    log_E = torch.tensor([[11.0], [12.0]])
    gravity = torch.randn(5, 3)
    report = check_gradients(
        rollout, state, loss, [LOG_E, "gravity"], parameters={LOG_E: log_E}, controls={"gravity": gravity}
    )
    assert report.passed
    assert [check.size for check in report.checks] == [2, 15]


def test_a_quantity_without_influence_counts_as_right():
    rollout, state = scene()
    report = check_gradients(rollout, state, lambda final: final.velocities.sum() * 0 + 1, LOG_E)
    assert report.passed


def test_an_unknown_name_suggests_the_nearest():
    rollout, state = scene()
    with pytest.raises(KeyError, match="log_density"):
        check_gradients(rollout, state, loss, "log_densty")


class Cube(torch.autograd.Function):
    """x³, with the derivative of `wrong` times as much."""

    @staticmethod
    def forward(ctx, x: Tensor, wrong: Tensor) -> Tensor:
        ctx.save_for_backward(x, wrong)
        return x**3

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        x, wrong = ctx.saved_tensors
        return wrong * 3 * x**2 * grad, None


def compared(wrong: Tensor, *, dtype: torch.dtype = torch.float64, **options: float):
    tensors = {"a": torch.linspace(1, 2, 4, dtype=dtype), "b": torch.tensor(3.0, dtype=dtype)}
    tensors = {name: tensor.requires_grad_() for name, tensor in tensors.items()}

    def evaluate(values):
        return Cube.apply(values["a"], wrong.to(dtype)).sum() * values["b"]

    return compare_gradients(evaluate, tensors, **options)


def test_the_gradient_of_any_function_of_named_tensors_is_compared():
    report = compared(torch.ones(4))
    assert report.passed
    a, b = report.checks
    assert (a.name, b.name) == ("a", "b")
    # The sum of cubes of 1, 4/3, 5/3, 2.
    assert b.gradient == pytest.approx(1 + 64 / 27 + 125 / 27 + 8, rel=1e-14)
    assert b.difference == pytest.approx(b.gradient, rel=1e-9)
    assert a.value == pytest.approx((sum((k / 3) ** 2 for k in range(3, 7)) / 4) ** 0.5)


@pytest.mark.parametrize("entry", range(4))
def test_one_wrong_entry_of_a_plain_gradient_is_found(entry):
    wrong = torch.ones(4)
    wrong[entry] = 1.01
    report = compared(wrong)
    assert [check.passed for check in report.checks] == [False, True]
    assert compared(wrong, tolerance=0.05).passed


def test_a_gradient_that_is_zero_though_the_value_changes_is_found():
    assert not compared(torch.zeros(4)).checks[0].passed


def test_single_precision_is_compared_with_its_own_tolerance():
    report = compared(torch.ones(4), dtype=torch.float32)
    assert report.passed
    assert report.tolerance == 2e-2
    assert not compared(torch.full((4,), 1.1), dtype=torch.float32).passed


def test_a_loss_without_a_value_is_refused_by_name():
    x = {"x": torch.ones(2, requires_grad=True)}
    with pytest.raises(ValueError, match=r"loss must be a plain tensor of real numbers, got one .* 'meta'"):
        compare_gradients(lambda values: values["x"].sum().to("meta"), x)


def test_the_compared_tensors_are_not_changed():
    x = torch.ones(3, requires_grad=True)
    compare_gradients(lambda values: values["x"].square().sum(), {"x": x})
    assert torch.equal(x, torch.ones(3))
    assert x.grad is None

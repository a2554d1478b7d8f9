import pytest
import torch
from torch import Tensor

from simlayer.rollout.central_differences import compare_gradients


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


def test_the_compared_tensors_are_not_changed():
    x = torch.ones(3, requires_grad=True)
    compare_gradients(lambda values: values["x"].square().sum(), {"x": x})
    assert torch.equal(x, torch.ones(3))
    assert x.grad is None


def test_a_loss_without_a_value_is_refused_by_name():
    x = {"x": torch.ones(2, requires_grad=True)}
    with pytest.raises(ValueError, match=r"loss must be a plain tensor of real numbers, got one .* 'meta'"):
        compare_gradients(lambda values: values["x"].sum().to("meta"), x)

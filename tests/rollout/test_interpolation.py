"""Controls between knots: polynomials that are exact, gradients, and what is refused."""

import pytest
import torch
from support.scenes import beam, moving

from simlayer import RolloutModule, interpolated_controls

pytestmark = pytest.mark.usefixtures("float64")

KINDS = ("zero_order", "linear", "cubic")
every_kind = pytest.mark.parametrize("kind", KINDS)


def polynomial(at, degree):
    """A polynomial of a degree, for each of a batch of two samples and three values, `(len(at), 2, 3)`."""
    powers = at[:, None] ** torch.arange(degree + 1)
    return (powers @ torch.linspace(-1, 1, 6 * (degree + 1)).view(degree + 1, 6)).view(-1, 2, 3)


@every_kind
@pytest.mark.parametrize("knots", [1, 2, 3, 4, 7, 30])
@pytest.mark.parametrize("steps", [1, 2, 10, 101])
def test_a_constant_stays_the_same(kind, knots, steps):
    found = interpolated_controls(torch.full((knots, 2, 1), 0.3), steps, kind=kind)
    assert found.shape == (steps, 2, 1)
    assert torch.allclose(found, torch.tensor(0.3), rtol=1e-13)


@pytest.mark.parametrize(("kind", "degree", "knots"), [("linear", 1, 2), ("linear", 1, 6), ("cubic", 1, 2)])
def test_a_line_is_exact(kind, degree, knots):
    check(kind, degree, knots)


@pytest.mark.parametrize(("degree", "knots"), [(2, 3), (2, 5), (3, 4), (3, 5), (3, 12)])
def test_a_cubic_is_exact_from_four_knots_on_and_a_parabola_from_three(degree, knots):
    check("cubic", degree, knots)


def check(kind, degree, knots, steps=23):
    given = polynomial(torch.linspace(0, 1, knots), degree)
    found = interpolated_controls(given, steps, kind=kind)
    # Rounding, amplified by the conditioning of the spline.
    assert torch.allclose(found, polynomial(torch.linspace(0, 1, steps), degree), rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", ["linear", "cubic"])
def test_knots_that_fall_on_steps_are_met(kind):
    knots = torch.randn(6, 2)
    assert torch.allclose(interpolated_controls(knots, 21, kind=kind)[::4], knots, rtol=0, atol=1e-14)


def test_a_cubic_has_two_continuous_derivatives():
    values = interpolated_controls(torch.randn(6), 5001, kind="cubic")
    second = values.diff(n=2) * 1000.0**2
    # Differences of a thousandth of an interval: jumps would be of order one, changes are of a thousandth.
    assert second.diff().abs().max() < 0.1


@pytest.mark.parametrize(("knots", "steps"), [(3, 9), (3, 10), (4, 6), (7, 5)])
def test_every_knot_is_held_for_an_equal_part_to_within_one_step(knots, steps):
    held = interpolated_controls(torch.arange(float(knots)), steps, kind="zero_order")
    counts = held.long().bincount(minlength=knots)
    assert (held.diff() >= 0).all()
    assert counts.max() - counts.min() <= 1


@every_kind
def test_it_is_linear_in_the_knots_in_reverse_and_forward_mode_and_mapped(kind):
    knots = torch.randn(5, 2, 3, requires_grad=True)
    assert torch.autograd.gradcheck(lambda k: interpolated_controls(k, 8, kind=kind), (knots,))
    knots = knots.detach()
    _, change = torch.func.jvp(lambda k: interpolated_controls(k, 8, kind=kind), (knots,), (2 * knots,))
    assert torch.allclose(change, 2 * interpolated_controls(knots, 8, kind=kind), rtol=1e-13)
    mapped = torch.func.vmap(lambda k: interpolated_controls(k, 8, kind=kind), 1, 1)(knots)
    assert torch.allclose(mapped, interpolated_controls(knots, 8, kind=kind), rtol=1e-13)


@every_kind
def test_a_rollout_takes_them_and_its_gradients_reach_the_knots(kind):
    rollout = RolloutModule(beam(), 6, compile=False)
    knots = torch.randn(3, 2, 3, requires_grad=True)
    end = rollout(moving(), controls={"gravity": interpolated_controls(knots, rollout.num_steps, kind=kind)})
    (gradient,) = torch.autograd.grad(end.positions.square().sum(), knots)
    assert end.positions.shape == (2, 16, 3)
    assert (gradient != 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision_is_kept(dtype):
    assert interpolated_controls(torch.ones(3, dtype=dtype), 5, kind="cubic").dtype == dtype


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.tensor(1.0), 5), r"knots must hold at least one value"),
        ((torch.zeros(0, 2), 5), r"knots must hold at least one value"),
        ((torch.tensor([0.0, float("nan")]), 5), r"knots must be finite, got nan at knot 1"),
        ((torch.zeros(3), 0), r"num_steps must be an int, at least 1"),
    ],
)
def test_what_is_no_control_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        interpolated_controls(*arguments)
    with pytest.raises(ValueError, match=r"kind must be one of 'zero_order', 'linear', 'cubic'.*linear"):
        interpolated_controls(torch.zeros(3), 5, kind="liner")

"""Quadratic extension, polar stretch, the tracer, and what is done to traced graphs."""

import pytest
import torch
from support.materials import deformations, matrix, rotations
from torch.utils.checkpoint import checkpoint

from simlayer.autodiff.output_layout import compute_permuted_outputs
from simlayer.autodiff.partition import is_sum, split
from simlayer.autodiff.pointwise import PointwiseEnergy
from simlayer.autodiff.simplify import simplify
from simlayer.autodiff.taylor_extension import extended
from simlayer.autodiff.tracing import trace
from simlayer.linalg.polar import stretch_trace

pytestmark = pytest.mark.usefixtures("float64")

LOW, HIGH = 0.1, 5.0


def extended_log(x):
    return extended(torch.log, x, (LOW, HIGH))


def test_inside_the_interval_an_extended_function_is_the_function():
    x = torch.linspace(LOW, HIGH, 101)
    assert torch.equal(extended_log(x), x.log())


@pytest.mark.parametrize(("end", "x"), [(LOW, -3.0), (LOW, 0.0), (LOW, 0.05), (HIGH, 5.5), (HIGH, 100.0)])
def test_outside_the_interval_an_extended_function_is_its_taylor_polynomial(end, x):
    d = x - end
    expected = torch.tensor(end).log() + d / end - d**2 / (2 * end**2)
    assert torch.allclose(extended_log(torch.tensor(x)), expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("x", [-3.0, 0.0, 0.05, 0.3, 4.0, 7.0])
def test_an_extended_function_has_exact_derivatives_of_two_orders(x):
    x = torch.tensor(x, requires_grad=True)
    assert torch.autograd.gradcheck(extended_log, x)
    assert torch.autograd.gradgradcheck(extended_log, x)


@pytest.mark.parametrize("end", [LOW, HIGH])
def test_value_slope_and_curvature_are_continuous_at_the_ends_of_the_interval(end):
    x = torch.tensor([end * (1 - 1e-12), end, end * (1 + 1e-12)], requires_grad=True)
    y = extended_log(x)
    (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    for values, exact in ((y, x.log()), (slope, 1 / x), (curvature, -1 / x**2)):
        # The derivative of the logarithm's curvature is 2e3 at 0.1, over a distance of 1e-13.
        assert torch.allclose(values, exact, rtol=1e-11, atol=1e-11)


def test_without_an_interval_an_extended_function_is_the_function_everywhere():
    x = torch.tensor([-1.0, 0.0, 0.05, 7.0])
    assert torch.equal(extended(torch.log, x, None).nan_to_num(), x.log().nan_to_num())


def signed_stretch_sum(F):
    s = torch.linalg.svdvals(F)
    return s[..., 0] + s[..., 1] + s[..., 2] * torch.linalg.det(F).sign()


def test_the_trace_of_the_stretch_is_the_signed_sum_of_singular_values():
    stretched = deformations(200, stretches=(0.2, 3.0))
    # Inverted cells too, as long as the smallest stretch is well apart from the second.
    s = torch.tensor([1.5, 1.0, -0.6]).expand(200, 1, 3)
    inverted = (rotations(200) * s) @ rotations(200)
    for F in (stretched, inverted):
        # A root of a quartic with coefficients up to 3^4 that is simple: rounding times the condition.
        assert torch.allclose(stretch_trace(matrix(F)), signed_stretch_sum(F), rtol=1e-12, atol=0)


def test_the_trace_of_the_stretch_is_right_over_ten_orders_of_magnitude():
    scale = 10.0 ** torch.arange(-5.0, 6.0)[:, None, None]
    F = scale * deformations(11)
    assert torch.allclose(stretch_trace(matrix(F)), signed_stretch_sum(F), rtol=1e-12, atol=0)


def test_the_trace_of_the_stretch_of_strongly_stretched_cells_is_right():
    # Random matrices of order one, the flat, needle-like and inverted included.
    F = torch.randn(2000, 3, 3)
    s = torch.linalg.svdvals(F)
    # The two largest roots are 2 (s2 + s3) apart, with the sign of det F on s3; close roots are found
    # to the square root of the rounding.
    gap = s[:, 1] + s[:, 2] * torch.linalg.det(F).sign()
    separate = gap > 0.1 * s[:, 0]
    assert separate.sum() > 1000
    got, exact = stretch_trace(matrix(F)), signed_stretch_sum(F)
    assert torch.allclose(got[separate], exact[separate], rtol=1e-10, atol=0)
    # The rest is met to the accuracy that 14 steps of linear convergence leave.
    assert torch.allclose(got, exact, rtol=2e-2, atol=0)


def test_the_trace_of_the_stretch_has_exact_derivatives_of_three_orders():
    for F in (deformations(), torch.eye(3), 1.3 * rotations(), rotations() * torch.tensor([1.5, 1.0, -0.6])):
        point = tuple(x.clone().requires_grad_() for x in F.flatten().unbind())

        def first(*x):
            return torch.autograd.grad(
                stretch_trace(matrix(torch.stack(x).reshape(3, 3))), x, create_graph=True
            )

        assert torch.autograd.gradcheck(lambda *x: stretch_trace(matrix(torch.stack(x).reshape(3, 3))), point)
        assert torch.autograd.gradcheck(first, point)
        assert torch.autograd.gradgradcheck(first, point)


def test_the_derivative_of_the_trace_of_the_stretch_is_the_rotation():
    U, V = rotations(20), rotations(20)
    F = ((U * torch.tensor([1.4, 1.4, 0.8])) @ V).requires_grad_()
    (R,) = torch.autograd.grad(stretch_trace(matrix(F)).sum(), F)
    assert torch.allclose(R, U @ V, rtol=0, atol=1e-12)


# The tracer, on psi = a x² y + b sin y, with a coefficient c that is not read.


def energy(coefficients, arguments):
    a, b, _ = coefficients
    x, y = arguments
    return a * x**2 * y + b * y.sin()


@pytest.fixture
def law():
    coefficients, arguments = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.3, 0.7])
    return PointwiseEnergy(energy, coefficients.unbind(), arguments.unbind())


def test_only_the_coefficients_that_an_energy_reads_are_asked_for(law):
    assert law.used == (0, 1)


def test_value_gradient_and_hessian_product_are_the_closed_forms_with_broadcasting(law):
    a, b = torch.randn(5, 1), torch.randn(1, 4)
    x, y, dx, dy = torch.randn(4, 5, 4).unbind()
    # The same operators in another order, on numbers of order ten.
    close = {"rtol": 0, "atol": 1e-13}
    assert torch.allclose(law.value((a, b), (x, y)), a * x**2 * y + b * y.sin(), **close)
    gx, gy = law.gradient((a, b), (x, y))
    assert torch.allclose(gx, 2 * a * x * y, **close)
    assert torch.allclose(gy, a * x**2 + b * y.cos(), **close)
    hx, hy = law.hessian_product((a, b), (x, y), (dx, dy))
    assert torch.allclose(hx, 2 * a * (y * dx + x * dy), **close)
    assert torch.allclose(hy, 2 * a * x * dx - b * y.sin() * dy, **close)


def test_a_pullback_from_what_was_kept_is_the_one_from_the_inputs_to_the_last_bit(law):
    inputs, cotangents = torch.randn(4, 5).unbind(), torch.randn(2, 5).unbind()
    gradient, kept = law.gradient_and_kept(inputs[:2], inputs[2:])
    assert kept
    assert all(map(torch.equal, gradient, law.gradient(inputs[:2], inputs[2:])))
    assert all(map(torch.equal, law.pullback(inputs, cotangents, kept), law.pullback(inputs, cotangents)))


def test_traced_derivatives_can_be_differentiated_again(law):
    inputs = tuple(torch.randn(3).requires_grad_() for _ in range(4))
    assert torch.autograd.gradcheck(lambda a, b, x, y: law.gradient((a, b), (x, y)), inputs)
    assert torch.autograd.gradgradcheck(lambda a, b, x, y: law.gradient((a, b), (x, y)), inputs)


def test_traced_derivatives_work_inside_a_checkpoint(law):
    inputs = [torch.randn(3).requires_grad_() for _ in range(4)]

    def work(a, b, x, y):
        return sum(g.square().sum() for g in law.gradient((a, b), (x, y)))

    plain = torch.autograd.grad(work(*inputs), inputs)
    rerun = torch.autograd.grad(checkpoint(work, *inputs, use_reentrant=False), inputs)
    assert all(torch.equal(p, r) for p, r in zip(plain, rerun, strict=True))


def test_a_trace_is_of_the_operators_and_not_of_the_example():
    graph = trace(lambda x: torch.func.grad(lambda y: y**3)(x), torch.tensor(2.0))
    x = torch.randn(5)
    assert torch.allclose(graph(x), 3 * x**2, rtol=1e-15, atol=0)


def test_a_trace_leaves_its_example_without_a_graph():
    x = torch.tensor(2.0, requires_grad=True)
    graph = trace(lambda x: x * x, x)
    assert graph(torch.tensor(3.0)).grad_fn is None


def simplified(function, *example):
    """The traced function, and the number of its operators, after simplifying."""
    graph = trace(function, *example)
    simplify(graph)
    return graph, sum(node.op == "call_function" for node in graph.graph.nodes)


def test_a_simplified_graph_computes_the_same_with_fewer_operators():
    def function(x, y, z):
        one = torch.ones_like(x)
        double = x * y
        return torch.neg(-(x * y + z)) * one + z**2 - (-y) * 1, (z + double) + double, z - (-x) * y, z + y**0

    example = torch.randn(4, 3, dtype=torch.float64).unbind()[:3]
    graph, count = simplified(function, *example)
    # x y and x y + z are shared; then + z², + y; + 2 x y; z + x y; z + 1.
    assert count <= 8
    for result, expected in zip(graph(*example), function(*example), strict=True):
        assert torch.allclose(result, expected, rtol=1e-15, atol=1e-15)


def test_twice_a_product_is_one_product_with_a_factor_that_is_doubled_once():
    graph = trace(lambda s, x, y: (s * x + s * x, s * y + s * y), *torch.randn(3).unbind())
    s, x, y = torch.randn(3, 5).unbind()
    simplify(graph)
    assert len([node for node in graph.graph.nodes if node.op == "call_function"]) == 3
    assert all(map(torch.equal, graph(s, x, y), (2 * s * x, 2 * s * y)))


def test_results_of_a_simplified_graph_are_tensors_of_their_own():
    x = torch.tensor(2.0)
    graph, _ = simplified(lambda x: (x * 1, x + 1, x + 1, torch.ones_like(x)), x)
    results = graph(x)
    assert [float(result) for result in results] == [2, 3, 3, 1]
    assert len({id(tensor) for tensor in (x, *results)}) == 5


def test_a_graph_that_writes_in_place_is_left_alone():
    graph, _ = simplified(lambda x: torch.zeros_like(x).add_(x).add_(x), torch.tensor(2.0))
    assert float(graph(torch.tensor(3.0))) == 6


# Graphs for the compiler


def test_an_output_that_permutes_what_is_computed_is_computed_permuted():
    def function(x, shared):
        scaled = torch.addcmul(shared, x, shared, value=2.0)
        return scaled.permute(2, 1, 0), (scaled + x).permute(2, 1, 0), scaled.sum(-1), x.permute(1, 0, 2)

    x, shared = torch.randn(2, 5, 3), torch.randn(5, 1)
    expected = function(x, shared)
    graph = trace(function, x, shared)
    compute_permuted_outputs(graph)
    assert all(map(torch.equal, graph(x, shared), expected))
    output = next(node for node in graph.graph.nodes if node.op == "output")
    names = [str(node.target) for node in output.all_input_nodes]
    assert names == [f"aten.{name}" for name in ("addcmul.default", "add.Tensor", "sum.dim_IntList")] + [
        "aten.permute.default"  # of an input, which is computed nowhere
    ]


def test_of_sums_that_are_only_added_up_a_split_keeps_the_total():
    def joint(x, index, cotangent):
        zeros = x.new_zeros(4)
        total = zeros.index_add(0, index, x.sin()) + zeros.index_add(0, index.flip(0), x)
        return total.cos(), -total.sin() * cotangent

    x, index, cotangent = torch.randn(6), torch.tensor([0, 1, 2, 3, 0, 1]), torch.randn(4)
    forward, backward = split(trace(joint, x, index, cotangent), 2, 1, keep=is_sum)
    output, *kept = forward(x, index)
    (gradient,) = backward(x, index, *kept, cotangent)
    assert len(kept) == 1
    expected = joint(x, index, cotangent)
    assert torch.equal(output, expected[0])
    assert torch.equal(gradient, expected[1])


def test_a_sum_of_the_components_of_vectors_is_not_kept():
    def joint(x, cotangent):
        square = (x * x).sum(0)
        return square.cos(), -square.sin() * cotangent

    x, cotangent = torch.randn(3, 4), torch.randn(4)
    forward, _ = split(trace(joint, x, cotangent), 1, 1, keep=is_sum)
    assert len(forward(x)) == 1

"""Fewer operators for the same function, where derivatives leave redundant ones in a traced graph."""

from __future__ import annotations

import operator
from collections.abc import Hashable
from functools import partial
from typing import Any

import torch
from torch import fx

from simlayer.autodiff.torch_private import writes_in_place

_aten = torch.ops.aten

# Called as Python's own operators they take two thirds of the time.
_OPERATORS = {
    _aten.add.Tensor: operator.add,
    _aten.sub.Tensor: operator.sub,
    _aten.mul.Tensor: operator.mul,
    _aten.mul.Scalar: operator.mul,
    _aten.div.Tensor: operator.truediv,
    _aten.neg.default: operator.neg,
    _aten.pow.Tensor_Scalar: operator.pow,
    _aten.rsub.Scalar: operator.sub,  # with its arguments reversed
}
_CONSTANTS = {_aten.ones_like.default: 1.0, _aten.zeros_like.default: 0.0}


def simplify(module: fx.GraphModule) -> None:
    """Rewrite the elementwise operators of a graph in place, so that it runs faster without a compiler.

    Constants are folded, what is computed twice is computed once, and a product that is only added to
    something becomes one operator with the sum.
    """
    calls = [node for node in module.graph.nodes if node.op == "call_function"]
    if any(map(writes_in_place, calls)):
        return
    seen: dict[Hashable, Any] = {}
    for node in calls:
        value = _value(node)
        if isinstance(value, fx.Node) and _is_pointwise(value.target):
            value = seen.setdefault((value.target, str(value.args), str(value.kwargs)), value)
        if value is not node:
            node.replace_all_uses_with(value, partial(_takes, value))
    module.graph.eliminate_dead_code()
    doubles: dict[fx.Node, fx.Node] = {}
    for node in list(module.graph.nodes):
        _double_a_factor(node, doubles)
    for node in reversed(module.graph.nodes):  # the second of two equal terms before the first
        _take_product_in(node)
    _make_results_distinct(module.graph)
    module.graph.eliminate_dead_code()
    module.recompile()


def merge_repeated(module: fx.GraphModule) -> None:
    """Compute once what a graph without operators in place computes several times."""
    seen: dict[Hashable, fx.Node] = {}
    for node in module.graph.nodes:
        if node.op == "call_function":
            first = seen.setdefault((node.target, str(node.args), str(node.kwargs)), node)
            if first is not node:
                node.replace_all_uses_with(first)
    module.graph.eliminate_dead_code()
    module.recompile()


def _takes(value: Any, user: fx.Node) -> bool:
    """Whether a node can have this argument: numbers are for arithmetic only."""
    return isinstance(value, fx.Node) or user.target in _OPERATORS or user.target in _OPERATORS.values()


def _is_pointwise(target: Any) -> bool:
    return target in _OPERATORS.values() or torch.Tag.pointwise in getattr(target, "tags", ())


def _value(node: fx.Node) -> Any:
    """Return the number or other node that a node equals, else itself, rewritten where that is cheaper."""
    target: Any = node.target
    arguments: Any = node.args
    if target in _CONSTANTS:
        return _CONSTANTS[target]
    if target is _aten.expand.default and not arguments[1]:  # a scalar to a scalar
        return _value(arguments[0])
    if target in _OPERATORS and len(arguments) <= 2 and not node.kwargs:
        arguments = arguments[::-1] if target is _aten.rsub.Scalar else arguments
        target = _OPERATORS[target]
    if target not in _OPERATORS.values():
        return node
    if not node.all_input_nodes:
        return target(*arguments)
    if target in (operator.add, operator.mul):
        arguments = tuple(sorted(arguments, key=_last_numbers_and_negations))
    match target.__name__, *arguments:
        case ("mul" | "pow" | "truediv", x, 1) | ("add" | "sub", x, 0):
            return x
        case "pow", _, 0:
            return 1.0
        case "neg", fx.Node(target=operator.neg, args=(x,)):
            return x
        case "mul", x, -1:
            target, arguments = operator.neg, (x,)
        case "mul", x, 2:  # a Python number is costly
            target, arguments = operator.add, (x, x)
        case "pow", x, 2:
            target, arguments = operator.mul, (x, x)
        case "add", x, fx.Node(target=operator.neg, args=(y,)):
            target, arguments = operator.sub, (x, y)
        case "sub", x, fx.Node(target=operator.neg, args=(y,)):
            target, arguments = operator.add, (x, y)
    node.target, node.args = target, arguments
    return node


def _last_numbers_and_negations(argument: Any) -> tuple[bool, bool, str]:
    is_node = isinstance(argument, fx.Node)
    return not is_node, is_node and argument.target is operator.neg, str(argument)


def _double_a_factor(node: fx.Node, doubles: dict[fx.Node, fx.Node]) -> None:
    """Rewrite a b + a b as (a + a) b, where a + a may serve many products."""
    if node.target is not operator.add or node.args[0] is not node.args[1]:
        return
    product: Any = node.args[0]
    if not _is_product(product) or len(product.users) > 1:
        return
    factor, other = sorted(product.args, key=lambda factor: -len(factor.users))
    if factor not in doubles:
        with node.graph.inserting_before(node):
            doubles[factor] = node.graph.call_function(operator.add, (factor, factor))
    node.target, node.args = operator.mul, (doubles[factor], other)


def _take_product_in(node: fx.Node) -> None:
    """Rewrite x + a b, x - a b or (x + a b) + a b as one operator, where nothing else reads a b."""
    if node.target not in (operator.add, operator.sub):
        return
    x: Any
    product: Any
    x, product = node.args
    times = 1 if node.target is operator.add else -1
    if times == 1 and not _is_product(product):
        x, product = product, x
    if not (isinstance(x, fx.Node) and _is_product(product)):
        return
    reads = 1
    if times == 1 and x.target is operator.add and product in x.args and len(x.users) == 1:
        x, times, reads = x.args[x.args[0] is product], 2, 2
    if len(product.users) != reads or not isinstance(x, fx.Node):
        return
    factors = list(product.args)
    for k, factor in enumerate(factors):
        if factor.target is operator.neg:
            factors[k], times = factor.args[0], -times
    node.target, node.args = torch.addcmul, (x, *factors)
    node.kwargs = {} if times == 1 else {"value": times}


def _make_results_distinct(graph: fx.Graph) -> None:
    """Copy results that are arguments or other results: nodes of an autograd graph cannot return those."""
    output = next(node for node in graph.nodes if node.op == "output")
    results: Any = output.args[0]
    if isinstance(results, fx.Node):
        return
    seen: set[fx.Node] = set()
    distinct = []
    for result in results:
        if result in seen or result.op == "placeholder":
            with graph.inserting_before(output):
                result = graph.call_function(_aten.alias.default, (result,))
        seen.add(result)
        distinct.append(result)
    output.args = (tuple(distinct),)


def _is_product(node: Any) -> bool:
    if not isinstance(node, fx.Node) or node.target is not operator.mul:
        return False
    return all(isinstance(factor, fx.Node) for factor in node.args)

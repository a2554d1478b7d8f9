"""Shape functions: one at their node, zero at the others, and the polynomials that they can follow."""

from itertools import product

import pytest
import torch

from simlayer.elements.types import ELEMENT_TYPES

pytestmark = pytest.mark.usefixtures("float64")

# Cells, their faces and their edges.
SHAPES = {name: element.shape for name, element in ELEMENT_TYPES.items()}
SHAPES |= {f"{name} face": element.face.shape for name, element in ELEMENT_TYPES.items()}
SHAPES |= {f"{name} edge": element.edge.shape for name, element in ELEMENT_TYPES.items()}
every_shape = pytest.mark.parametrize("name", SHAPES)


def monomials(name, points):
    """Those that the element follows exactly, with their derivatives: all of its degree."""
    degree = 2 if "10" in name or "20" in name else 1
    for powers in product(range(degree + 1), repeat=points.shape[1]):
        if sum(powers) <= degree:
            points = points.detach().requires_grad_()
            value = (points ** torch.tensor(powers)).prod(1)
            yield value, torch.autograd.grad(value.sum(), points)[0]


@every_shape
def test_a_shape_function_is_one_at_its_node_and_zero_at_the_others(name):
    nodes = torch.tensor(SHAPES[name].nodes)
    # Whole coefficients at halves: exact.
    assert torch.equal(SHAPES[name].functions(nodes), torch.eye(len(nodes)))


@every_shape
def test_shape_functions_add_up_to_one_and_their_gradients_to_zero(name):
    shape = SHAPES[name]
    points = torch.rand(7, len(shape.nodes[0]))
    # Sums of tens of terms of order ten.
    assert (shape.functions(points).sum(1) - 1).abs().max() < 1e-13
    assert shape.gradients(points).sum(1).abs().max() < 1e-13


@every_shape
def test_polynomials_of_the_elements_degree_are_followed_exactly_with_their_gradients(name):
    shape = SHAPES[name]
    nodes, points = torch.tensor(shape.nodes), torch.rand(7, len(shape.nodes[0]))
    at_nodes, at_points = monomials(name, nodes), monomials(name, points)
    for (nodal, _), (value, slope) in zip(at_nodes, at_points, strict=True):
        assert (shape.functions(points) @ nodal - value).abs().max() < 1e-13
        assert (torch.einsum("pcd,c->pd", shape.gradients(points), nodal) - slope).abs().max() < 1e-13


@every_shape
def test_gradients_are_the_derivatives_of_the_functions(name):
    shape = SHAPES[name]
    points = torch.rand(3, len(shape.nodes[0]))
    jacobian = torch.autograd.functional.jacobian(lambda x: shape.functions(x).sum(0), points)
    assert torch.allclose(jacobian.movedim(0, 1), shape.gradients(points), rtol=0, atol=1e-13)

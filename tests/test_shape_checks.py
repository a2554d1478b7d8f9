"""The runtime shape checks that the tests run under really check, everything that is annotated."""

import ast
from pathlib import Path

import pytest
import torch
from jaxtyping import TypeCheckError

import simlayer
from simlayer import ElasticForce, LinearElastic, State, box_mesh

FILES = sorted(Path(simlayer.__file__).parent.rglob("*.py"))


@pytest.fixture
def force():
    return ElasticForce(box_mesh(cells=(1, 1, 1)), LinearElastic(1.0, 0.3))


def test_a_wrong_shape_is_refused(force):
    for shape in ((8, 2), (3,)):
        with pytest.raises(TypeCheckError, match="positions"):
            force.energy(torch.zeros(shape))


def test_shapes_that_do_not_fit_each_other_are_refused(force):
    with pytest.raises(TypeCheckError, match="direction"):
        force.hessian_product(torch.zeros(8, 3), torch.zeros(7, 3))


def test_a_wrong_type_is_refused(force):
    with pytest.raises(TypeCheckError):
        force(torch.zeros(8, 3))
    assert force(State.at_rest(torch.zeros(8, 3))).shape == (8, 3)


def test_integers_where_numbers_are_due_are_refused_by_the_modules_inside(force):
    with pytest.raises(TypeCheckError, match="values"):
        force.elements.gather.nodes.gather(torch.zeros(1, 8, dtype=torch.long))
    with pytest.raises(TypeCheckError, match="density"):
        force.elements.integrate(torch.zeros(6, dtype=torch.long))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_shape_in_an_annotation_is_a_string(path):
    # `Float[Tensor, N * batch]` is no shape: nothing is checked, silently. Linters remove quotes that they
    # take for those of a forward reference.
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            if node.value.id not in ("Float", "Int", "Bool", "Shaped", "Num") or not isinstance(
                node.slice, ast.Tuple
            ):
                continue
            shape = node.slice.elts[1]
            assert isinstance(shape, ast.Constant), f"line {node.lineno}: {ast.unparse(node)}"
            assert isinstance(shape.value, str), f"line {node.lineno}: {ast.unparse(node)}"

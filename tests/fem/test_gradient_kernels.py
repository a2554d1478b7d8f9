"""The gradient and its adjoint in few operators and laid out for a compiler: the same two maps."""

import pytest
import torch
from support.materials import array, matrix
from support.meshes import ELEMENTS, wavy

from simlayer import ElasticForce, StableNeoHookean
from simlayer.fem.compiler_layout import laid_out_for_compiler
from simlayer.fem.finite_elements import FiniteElements
from simlayer.fem.gradient_kernels import CompilerKernels, EagerKernels

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("deterministic", [False, True], ids=["scatter", "table"])
@pytest.mark.parametrize("batch", [(), (2, 3)], ids=["single", "two batch axes"])
@pytest.mark.parametrize("element", ELEMENTS)
def test_both_kernels_compute_the_same_maps(element, batch, deterministic):
    mesh = wavy(element)
    elements = FiniteElements(mesh, deterministic=deterministic)
    vectors = torch.randn(*batch, len(mesh.vertices), 3)
    field = torch.randn(*elements.weights.shape, *batch, 3, 3)
    eager = elements.weighted_gradient_operator
    compiler = eager._replace(kernels=CompilerKernels())
    # Sums of a few dozen numbers of order ten in another order.
    close = {"rtol": 0, "atol": 1e-12}
    assert torch.allclose(array(compiler.gradient(vectors)), array(eager.gradient(vectors)), **close)
    assert torch.allclose(compiler.divergence(matrix(field)), eager.divergence(matrix(field)), **close)


def test_a_module_is_laid_out_for_a_compiler_only_while_it_is_traced():
    force = ElasticForce(wavy("tet4"), StableNeoHookean(1e5, 0.3))
    with laid_out_for_compiler(force):
        assert isinstance(force.elements.kernels, CompilerKernels)
    assert isinstance(force.elements.kernels, EagerKernels)

"""The gradient and its adjoint by sparse matrices."""

import copy
import pickle

import pytest
import torch
from support.materials import array, matrix
from support.meshes import ELEMENTS, wavy

from simlayer import ElasticForce, StableNeoHookean, State
from simlayer.fem.finite_elements import FiniteElements
from simlayer.fem.gradient_kernels import EagerKernels
from simlayer.fem.sparse_kernels import SparseKernels

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("batch", [(), (2, 3)], ids=["single", "two batch axes"])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("element", ELEMENTS)
def test_matrices_are_the_same_maps_as_sums_over_nodes(element, weighted, batch):
    elements = FiniteElements(wavy(element))
    operator = elements.weighted_gradient_operator if weighted else elements.gradient_operator
    plain = operator._replace(kernels=EagerKernels())
    vectors = torch.randn(*batch, len(elements.mesh.vertices), 3)
    field = matrix(torch.randn(*elements.weights.shape, *batch, 3, 3))
    # Sums of a few dozen numbers of order ten in another order.
    close = {"rtol": 0, "atol": 1e-12}
    assert torch.allclose(array(operator.gradient(vectors)), array(plain.gradient(vectors)), **close)
    assert torch.allclose(operator.divergence(field), plain.divergence(field), **close)


def test_gradients_far_from_the_origin_lose_nothing():
    elements = FiniteElements(wavy("hex20"))
    near = elements.mesh.vertices + 0.01 * torch.randn_like(elements.mesh.vertices)
    # A power of two, so that the sum itself is all that is rounded: by 2^-53 of it, over edges of a tenth.
    far = array(elements.deformation_gradient(near + 1024.0))
    assert torch.allclose(far, array(elements.deformation_gradient(near)), rtol=0, atol=1e-10)


def test_single_precision_and_transforms_go_by_sums_over_nodes():
    elements = FiniteElements(wavy("tet4"))
    x = elements.mesh.vertices
    plain = elements.gradient_operator._replace(kernels=EagerKernels())
    inside = torch.func.vmap(lambda v: array(elements.deformation_gradient(v)))(x[None])[0]
    assert torch.equal(inside, array(plain.gradient(x)))
    elements = elements.float()
    assert array(elements.deformation_gradient(x.float())).dtype == torch.float32


def test_a_body_whose_precision_is_changed_has_matrices_of_its_present_buffers():
    elements = FiniteElements(wavy("tet10"))
    elements.deformation_gradient(elements.mesh.vertices)
    elements = elements.float().double()
    plain = elements.gradient_operator._replace(kernels=EagerKernels())
    x = torch.randn_like(elements.mesh.vertices)
    assert torch.allclose(
        array(elements.deformation_gradient(x)), array(plain.gradient(x)), rtol=0, atol=1e-12
    )


def test_copies_leave_the_matrices_behind():
    force = ElasticForce(wavy("tet4"), StableNeoHookean(1e5, 0.3))
    x = 1.1 * force.elements.mesh.vertices
    expected = force(State.at_rest(x))
    for other in (copy.deepcopy(force), pickle.loads(pickle.dumps(force))):
        kernels = other.elements.kernels
        assert isinstance(kernels, SparseKernels)
        assert kernels._made is None
        assert torch.equal(other(State.at_rest(x)), expected)

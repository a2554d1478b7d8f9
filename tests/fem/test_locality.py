"""Another order of cells inside compiled forces: nobody else sees it."""

import pytest
import torch

from simlayer import ElasticForce, Mesh, RolloutModule, StableNeoHookean, State, SymplecticEuler, box_mesh
from simlayer.fem import locality

pytestmark = pytest.mark.usefixtures("float64")


def shuffled(element):
    box = box_mesh(cells=(8, 3, 3), size=(0.8, 0.3, 0.3), element=element)
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(box.vertices), generator=generator)
    vertices = torch.empty_like(box.vertices).index_copy(0, order, box.vertices)
    return Mesh(vertices, order[box.cells][torch.randperm(len(box.cells), generator=generator)])


def test_only_large_meshes_in_a_scattered_order_get_another(monkeypatch):
    mesh = shuffled("tet4")
    assert ElasticForce(mesh, StableNeoHookean(1e5, 0.3)).elements.local is None
    monkeypatch.setattr(locality, "LOCAL_FROM", 1)
    assert ElasticForce(mesh, StableNeoHookean(1e5, 0.3)).elements.local is not None
    assert ElasticForce(box_mesh(cells=(8, 3, 3)), StableNeoHookean(1e5, 0.3)).elements.local is None


@pytest.mark.compiled
# Every option twice, but not all of their combinations.
@pytest.mark.parametrize(
    ("element", "deterministic", "batch"),
    [("tet4", False, ()), ("tet4", True, (2,)), ("hex20", False, (2,)), ("hex20", True, ())],
)
def test_a_compiled_rollout_in_another_order_is_the_eager_one(monkeypatch, element, deterministic, batch):
    monkeypatch.setattr(locality, "LOCAL_FROM", 1)
    mesh = shuffled(element)
    elastic = ElasticForce(mesh, StableNeoHookean(1e5, 0.3), deterministic=deterministic)
    assert elastic.elements.local is not None
    step = SymplecticEuler(mesh, {"elastic": elastic}, dt=1e-4, fixed=mesh.vertices[:, 0] == 0)
    ends, gradients = [], []
    for compile in (False, "aot_eager"):
        generator = torch.Generator().manual_seed(1)
        start = mesh.vertices + 1e-3 * torch.randn(mesh.vertices.shape, generator=generator)
        modulus = 1e5 * (1 + torch.rand(*batch, len(mesh.cells), generator=generator))
        start, modulus = start.requires_grad_(), modulus.requires_grad_()
        end = RolloutModule(step, 3, compile=compile)(State.at_rest(start), {"youngs_modulus": modulus})
        weights = torch.randn(mesh.vertices.shape, generator=generator)
        gradients.append(torch.autograd.grad((end.positions * weights).sum(), (start, modulus)))
        ends.append(end.positions.detach())
    torch.testing.assert_close(ends[1], ends[0], rtol=0, atol=1e-13)
    for found, expected in zip(gradients[1], gradients[0], strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-11 * float(expected.abs().max()))

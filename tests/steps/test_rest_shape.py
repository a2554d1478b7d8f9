"""The rest positions of a step: given for a call, assigned, trained, refused."""

import copy
import pickle

import pytest
import torch
from support.meshes import ELEMENTS
from support.scenes import same
from support.shapes import block, other_shape, start, step_of

from simlayer import (
    BDF2,
    Equilibrium,
    Mesh,
    MeshError,
    Newmark,
    Potential,
    Quantity,
    RestShaped,
    RolloutModule,
    State,
    SymplecticEuler,
)
from simlayer.fem import finite_elements

pytestmark = pytest.mark.usefixtures("float64")

KINDS = [(SymplecticEuler, {}), (Newmark, {}), (BDF2, {"mass_matrix": "consistent"}), (Equilibrium, {})]
kinds = pytest.mark.parametrize(("kind", "options"), KINDS, ids=lambda x: getattr(x, "__name__", ""))


def rollout_of(step, **options):
    return RolloutModule(step, 3 if step.explicit else 1, compile=False, **options)


@kinds
@pytest.mark.parametrize("element", ELEMENTS)
def test_a_body_at_rest_positions_moves_as_one_whose_mesh_has_them(element, kind, options):
    mesh = block(element)
    shapes, state = other_shape(mesh, 2), start(mesh)
    together = rollout_of(step_of(mesh, kind, **options))(state, {"rest_positions": shapes})
    for index, shape in enumerate(shapes):
        other = Mesh(shape, mesh.cells, vertex_sets=mesh.vertex_sets)
        alone = rollout_of(step_of(other, kind, **options))(state)
        # Rounding of sums in another order, and for implicit steps the tolerance of the minimum.
        tolerance = 1e-12 if kind is SymplecticEuler else 1e-8
        for found, expected in zip(together[:2], alone[:2], strict=True):
            assert torch.allclose(
                found[index], expected, rtol=0, atol=tolerance * float(expected.abs().max())
            )
    assert not torch.allclose(together.positions[0], together.positions[1], atol=1e-6)


@kinds
def test_assigned_rest_positions_are_those_of_rollouts_and_of_single_steps(kind, options):
    mesh = block("tet4")
    step, shape, state = step_of(mesh, kind, **options), other_shape(mesh), start(mesh)
    before = rollout_of(step)(state)
    given = RolloutModule(step, 1, compile=False)(state, {"rest_positions": shape})
    step.rest_positions = shape
    assert same(RolloutModule(step, 1, compile=False)(state), given)
    assert same(step(step.start(state)), given)
    for copied in (copy.deepcopy(step), pickle.loads(pickle.dumps(step))):
        assert same(copied(copied.start(state)), given)
    step.rest_positions = mesh.vertices
    assert same(rollout_of(step)(state), before)


def test_masses_and_the_stable_dt_follow_assigned_rest_positions():
    mesh = block("hex8")
    step, state = step_of(mesh, SymplecticEuler), State.at_rest(1.9 * mesh.vertices)
    other = step_of(Mesh(2 * mesh.vertices, mesh.cells, vertex_sets=mesh.vertex_sets), SymplecticEuler)
    before = float(step.stable_dts())
    step.rest_positions = 2 * mesh.vertices
    assert torch.allclose(step.vertex_masses, other.vertex_masses, rtol=1e-12)
    assert float(step.stable_dts()) == pytest.approx(float(other.stable_dts()), rel=1e-12)
    assert step.stable_dt(state) == pytest.approx(other.stable_dt(state), rel=1e-9)
    assert float(step.stable_dts()) > 1.5 * before


def test_the_rest_shape_is_computed_once_per_rollout_and_not_at_all_for_that_of_the_mesh(monkeypatch):
    mesh = block("tet4")
    step, state, calls = step_of(mesh, SymplecticEuler), start(mesh), []
    rollout = RolloutModule(step, 5, compile=False, checkpoint=2)
    real = finite_elements.cell_geometry
    monkeypatch.setattr(finite_elements, "cell_geometry", lambda *a: calls.append(1) or real(*a))
    step.forces["elastic"].material.requires_grad_(True)
    rollout(state).positions.sum().backward()
    assert not calls
    shape = other_shape(mesh).requires_grad_()
    rollout(state, {"rest_positions": shape}).positions.sum().backward()
    assert len(calls) == 3  # of the step, its elasticity and its viscosity


def test_rest_positions_can_be_trained_in_place():
    mesh = block("tet4")
    step = step_of(mesh, Equilibrium)
    rollout, state = RolloutModule(step, 1), State.at_rest(mesh.vertices)
    with torch.no_grad():
        target = rollout(state, {"rest_positions": other_shape(mesh, amount=0.01)}).positions
    optimizer = torch.optim.Adam(rollout.train_only("rest_positions"), lr=2e-3)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = (rollout(state).positions - target).square().sum()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * losses[0]
    trained = step.rest_positions.detach().clone()
    rollout.train_only()
    with torch.no_grad():
        assert same(rollout(state), rollout(state, {"rest_positions": trained}))


def test_state_dicts_of_before_there_were_rest_positions_can_be_loaded():
    step = step_of(block("tet4"), SymplecticEuler)
    saved = RolloutModule(step, 2).state_dict()
    del saved["step.rest_positions"]
    RolloutModule(step, 2).load_state_dict(saved)


class Within(SymplecticEuler):
    """A step that is made of another one, as a policy is."""

    def __init__(self, inner):
        super().__init__(inner.elements.mesh, {}, dt=inner.dt)
        self.inner = inner

    def substep(self, state):
        return self.inner(state)


@pytest.mark.parametrize("name", ["rest_positions", "inner.rest_positions"])
def test_a_step_inside_another_has_its_rest_positions(name):
    mesh = block("tet4")
    step, shape, state = step_of(mesh, SymplecticEuler), other_shape(mesh), start(mesh)
    expected = RolloutModule(step, 2, compile=False, validate=False)(state, {"rest_positions": shape})
    found = RolloutModule(Within(step), 2, compile=False, validate=False)(state, {name: shape})
    assert same(found, expected)


def test_cells_that_turn_inside_out_are_named_with_their_sample():
    mesh = block("hex8")
    for kind in (SymplecticEuler, Newmark):
        rollout = RolloutModule(step_of(mesh, kind), 2)
        folded = torch.stack([mesh.vertices, mesh.vertices])
        corner = int(mesh.vertices.sum(-1).argmax())
        folded[1, corner, 0] -= 2.0
        cell = int((mesh.cells == corner).any(1).nonzero())
        with pytest.raises(MeshError, match=rf"inside out in sample \(1,\).* in cells \[{cell}\]"):
            rollout(start(mesh), {"rest_positions": folded})
    flat = mesh.vertices * torch.tensor([1.0, 1.0, 0.0])
    with pytest.raises(MeshError, match=r"inside out: .* in cells \[0, 1\]"):
        rollout(start(mesh), {"rest_positions": flat})


def test_rest_positions_that_do_not_fit_are_refused():
    mesh = block("tet4")
    step, state = step_of(mesh, SymplecticEuler), start(mesh)
    rollout = RolloutModule(step, 2)
    shape = mesh.vertices.clone()
    with pytest.raises(ValueError, match=r"expected \(\*batch, 12, 3\)"):
        rollout(state, {"rest_positions": shape[:1]})
    with pytest.raises(ValueError, match="the same in all steps"):
        rollout(state, controls={"rest_positions": shape.expand(2, 12, 3)})
    shape[3, 1] = torch.nan
    with pytest.raises(ValueError, match=r"must be finite, got NaN or infinity at \(3, 1\)"):
        rollout(state, {"rest_positions": shape})


class Springs(Potential):
    """Springs to where the vertices are at rest."""

    stiffness = Quantity("N/m", positive=True)

    def __init__(self, mesh):
        super().__init__()
        self.stiffness = 300.0
        self.register_buffer("anchors", mesh.vertices.clone(), persistent=False)

    def energy(self, positions):
        return 0.5 * self.stiffness.squeeze(-1) * (positions - self.anchors).square().sum((-1, -2))


class ShapedSprings(Springs, RestShaped):
    def at_rest_positions(self, rest_positions):
        return {"anchors": rest_positions}


def test_a_users_buffers_over_vertices_are_refused_until_they_follow_from_rest_positions():
    mesh = block("tet4")
    shape, state = other_shape(mesh), start(mesh)
    plain = Newmark(mesh, {"springs": Springs(mesh)}, dt=0.01)
    with pytest.raises(TypeError, match=r"forces.springs \(Springs\) has buffers .* anchors"):
        RolloutModule(plain, 2)(state, {"rest_positions": shape})
    shaped = Newmark(mesh, {"springs": ShapedSprings(mesh)}, dt=0.01)
    other = Mesh(shape, mesh.cells, vertex_sets=mesh.vertex_sets)
    found = RolloutModule(shaped, 2)(state, {"rest_positions": shape})
    expected = RolloutModule(Newmark(other, {"springs": Springs(other)}, dt=0.01), 2)(state)
    assert torch.allclose(found.positions, expected.positions, rtol=0, atol=1e-9)

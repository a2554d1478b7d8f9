"""Muscles: their tension, their length, their cells, and what they refuse."""

import math

import pytest
import torch
from support.materials import rotations
from support.meshes import ELEMENTS, wavy

from simlayer import (
    ElasticForce,
    Equilibrium,
    ForceLength,
    Mesh,
    Muscle,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
)

pytestmark = pytest.mark.usefixtures("float64")

AREA = 0.6 * 0.8


def box(element="tet4", **options):
    return box_mesh(cells=(2, 2, 2), size=(1.0, 0.6, 0.8), element=element, **options)


def pull(muscle, x, end):
    """The total force on an end of a body."""
    return muscle(State.at_rest(x))[muscle.elements.mesh.vertex_sets[end]].sum(0)


@pytest.mark.parametrize("element", ELEMENTS)
def test_a_muscle_pulls_its_ends_together_by_stress_times_area_at_every_length(element):
    mesh = box(element)
    muscle = Muscle(mesh, (2.0, 0.0, 0.0), peak_stress=3e5, activation=0.5)
    for stretch in (0.7, 1.0, 1.4):
        x = mesh.vertices * torch.tensor([stretch, 0.9, 1.1])
        expected = torch.tensor([0.5 * 3e5 * AREA, 0.0, 0.0])
        assert torch.allclose(pull(muscle, x, "x_min"), expected, rtol=1e-12, atol=1e-8)
        assert torch.allclose(pull(muscle, x, "x_max"), -expected, rtol=1e-12, atol=1e-8)
        assert torch.allclose(muscle.stretches(x), torch.tensor(stretch), rtol=1e-12)


@pytest.mark.parametrize("optimum", [1.0, 1.2])
def test_its_tension_follows_the_curve_of_thelen(optimum):
    mesh = box()
    muscle = Muscle(mesh, (1, 0, 0), peak_stress=1.0, activation=1.0, force_length=ForceLength(optimum))
    for stretch in (0.6, 1.0, 1.5):
        f = math.exp(-((stretch / optimum - 1) ** 2) / 0.45)
        x = mesh.vertices * torch.tensor([stretch, 1.0, 1.0])
        assert pull(muscle, x, "x_min")[0].item() == pytest.approx(f * AREA, rel=1e-12)
        assert muscle.force_length.tension(torch.tensor(stretch)).item() == pytest.approx(f, rel=1e-14)


def test_work_is_the_integral_of_the_tension_from_the_rest_shape():
    curve, stretch = ForceLength(1.1, width=0.3), torch.tensor(1.3, requires_grad=True)
    (slope,) = torch.autograd.grad(curve.work(stretch), stretch)
    assert slope.item() == pytest.approx(curve.tension(stretch).item(), rel=1e-14)
    assert curve.work(torch.tensor(1.0)).item() == 0.0
    grid = torch.linspace(0.3, 2.5, 20001, requires_grad=True)
    (slopes,) = torch.autograd.grad(curve.tension(grid).sum(), grid)
    assert slopes.max().item() == pytest.approx(curve.largest_slope.item(), rel=1e-7)


def test_a_relaxed_muscle_makes_no_force_and_a_rotated_one_turns_its_force():
    mesh = wavy("tet4")
    muscle = Muscle(mesh, torch.rand(len(mesh.cells), 3) + 0.1, peak_stress=1.0)
    x = mesh.vertices + 0.02 * torch.randn(20, *mesh.vertices.shape)
    assert not muscle(State.at_rest(x)).any()
    muscle.activation, R = 1.0, rotations(20)
    turned = muscle(State.at_rest(x @ R.mT + torch.randn(20, 1, 3)))
    assert torch.allclose(turned, muscle(State.at_rest(x)) @ R.mT, atol=1e-13)


def test_forces_and_torques_add_up_to_zero():
    mesh = wavy("tet4")
    muscle = Muscle(mesh, (0.3, 1.0, 0.2), peak_stress=1.0, activation=1.0, cells=torch.arange(7))
    x = mesh.vertices + 0.05 * torch.randn_like(mesh.vertices)
    f = muscle(State.at_rest(x))
    assert f.sum(0).abs().max() < 1e-13
    assert torch.linalg.cross(x, f).sum(0).abs().max() < 1e-13


def regions():
    plain = box()
    ids = (plain.vertices[plain.cells].mean(1)[:, 0] > 0.5).long()
    names = ("left", "right", "nowhere")
    return Mesh(plain.vertices, plain.cells, cell_regions=ids, region_names=names)


def test_its_cells_are_named_by_region_index_or_mask():
    mesh = regions()
    mask = mesh.cell_regions == 1
    x = mesh.vertices + 0.02 * torch.randn_like(mesh.vertices)
    directions = torch.randn(len(mesh.cells), 3)
    stresses = 1 + torch.rand(int(mask.sum()))
    found = [
        Muscle(mesh, directions, peak_stress=stresses, activation=1.0, cells=cells)(State.at_rest(x))
        for cells in ("right", ["right", "nowhere"], mask, mask.nonzero().flatten())
    ]
    assert all(torch.equal(force, found[0]) for force in found)
    # One of all cells whose other fibres hardly pull.
    every = torch.full((len(mesh.cells),), 1e-12).masked_scatter(mask, stresses)
    whole = Muscle(mesh, directions, peak_stress=every, activation=1.0)
    assert torch.allclose(whole(State.at_rest(x)), found[0], atol=1e-10)
    assert torch.equal(
        Muscle(mesh, directions, peak_stress=1.0, activation=1.0, cells=["left", "right"])(State.at_rest(x)),
        Muscle(mesh, directions, peak_stress=1.0, activation=1.0)(State.at_rest(x)),
    )


def test_a_bar_contracts_until_its_elasticity_bears_the_tension():
    mesh = box("hex8")
    elastic = ElasticForce(mesh, StableNeoHookean(1e5, 0.4))
    alone = {"fixed": torch.zeros(len(mesh.vertices), 3, dtype=torch.bool)}
    for axis, name in enumerate(("x_min", "y_min", "z_min")):
        alone["fixed"][mesh.vertex_sets[name], axis] = True
    muscle = Muscle(mesh, (1, 0, 0), peak_stress=5e4, activation=0.6)
    x = Equilibrium(mesh, {"elastic": elastic, "muscle": muscle}, **alone)(
        State.at_rest(mesh.vertices)
    ).positions
    stretch = muscle.stretches(x)
    assert torch.allclose(stretch, stretch[0], rtol=1e-8)
    assert stretch[0] < 0.8
    # The ends of the elastic body alone push outwards by the tension at this length.
    assert elastic(State.at_rest(x))[mesh.vertex_sets["x_max"]].sum(0)[0].item() == pytest.approx(
        0.6 * 5e4 * AREA, rel=1e-6
    )


def test_controls_may_relax_and_fully_activate_it_and_no_further():
    mesh = box()
    forces = {"muscle": Muscle(mesh, (1, 0, 0), peak_stress=1e3)}
    rollout = RolloutModule(SymplecticEuler(mesh, forces, dt=1e-2, fixed="x_min"), 3, compile=False)
    activation = torch.tensor([0.0, 0.5, 1.0])[:, None].requires_grad_()
    end = rollout(State.at_rest(mesh.vertices), controls={"activation": activation})
    (gradient,) = torch.autograd.grad(end.positions.square().sum(), activation)
    assert gradient.abs().min() > 0
    with pytest.raises(ValueError, match=r"activation must lie in \[0, 1\], got 1.01 in step 2"):
        rollout(State.at_rest(mesh.vertices), controls={"activation": torch.tensor([[0.0], [1.01], [0.0]])})


def test_a_relaxed_activation_is_not_trained_before_it_is_inside_of_its_range():
    mesh = box()
    muscle = Muscle(mesh, (1, 0, 0), peak_stress=1e3)
    rollout = RolloutModule(SymplecticEuler(mesh, {"muscle": muscle}, dt=1e-2), 3)
    with pytest.raises(ValueError, match=r"activation is at an end of its range"):
        rollout.train_only("activation")
    muscle.activation = 0.1
    assert len(rollout.train_only("activation")) == 1


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fibres": (0.0, 0.0, 0.0)}, r"fibres must be finite and not zero, got \[0.0, 0.0, 0.0\]"),
        ({"fibres": torch.ones(3, 3)}, r"fibres must be one direction \(3,\) or one per cell \(48, 3\)"),
        ({"cells": "arm"}, r"cells: the mesh has no region 'arm'; it has \['body'\]"),
        ({"cells": torch.zeros(48, dtype=torch.bool)}, "cells selects none of the 48 cells"),
        ({"cells": [48]}, "cells holds cell 48, but the mesh has cells 0 to 47"),
        ({"cells": [0.5]}, "cells must be the name of a region or several, cell indices or"),
        ({"peak_stress": torch.ones(47)}, r"peak_stress has shape \(47,\)"),
        ({"activation": -0.1}, r"activation must lie in \[0, 1\]"),
        ({"force_length": 1.0}, "force_length must be of class ForceLength"),
    ],
)
def test_what_is_no_muscle_is_refused_by_name(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Muscle(box(), **({"fibres": (1, 0, 0), "peak_stress": 1.0} | options))

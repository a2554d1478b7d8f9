"""Warnings of bodies that are likely to be another than was meant."""

import warnings

import pytest
import torch

from simlayer import (
    ElasticForce,
    Equilibrium,
    Newmark,
    NodalLoad,
    StableNeoHookean,
    SymplecticEuler,
    box_mesh,
)
from simlayer.errors import ImplausibleWarning


def build(*, size=0.1, youngs_modulus=1e5, density=1000.0):
    mesh = box_mesh(cells=(2, 1, 1), size=(size, size / 10, size / 10))
    forces = {"elastic": ElasticForce(mesh, StableNeoHookean(youngs_modulus, 0.4))}
    return SymplecticEuler(mesh, forces, dt=1e-9, density=density)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 100.0}, r"100 m long.*scale=1e-3"),
        ({"youngs_modulus": 0.1}, r"0\.01 m/s.*forces.elastic, 0\.1 Pa"),
        ({"density": 1e-6}, r"m/s.*kg/m³"),
    ],
    ids=["a mesh in mm", "a modulus in MPa", "a density in t/mm³"],
)
def test_a_body_in_another_unit_is_warned_of(options, message):
    with pytest.warns(ImplausibleWarning, match=message):
        build(**options)


@pytest.mark.parametrize(("youngs_modulus", "density"), [(10.0, 1000.0), (1e12, 3500.0)])
@pytest.mark.parametrize("size", [1e-4, 0.1, 50.0])
def test_gels_and_diamond_of_any_size_are_not(size, youngs_modulus, density):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build(size=size, youngs_modulus=youngs_modulus, density=density)


def test_values_that_are_samples_and_look_like_cells_are_warned_of():
    mesh = box_mesh(cells=(2, 1, 1))
    count = len(mesh.cells)
    with pytest.warns(
        ImplausibleWarning, match=rf"youngs_modulus .* \({count}, 1\).* has shape \({count},\)"
    ):
        ElasticForce(mesh, StableNeoHookean(torch.full((count, 1), 1e5), 0.4))


def clamped(kind, *, cells=(4, 1, 1), quadratures=("reduced",), dt=1e-3):
    mesh = box_mesh(cells=cells, size=(0.08, 0.02, 0.02), element="hex20")
    material = StableNeoHookean(1e5, 0.4)
    forces = {name: ElasticForce(mesh, material, quadrature=name) for name in quadratures}
    load = {"load": NodalLoad(mesh, torch.zeros(1, 3))}
    return kind(mesh, forces | load, dt=dt, fixed="x_min")


@pytest.mark.parametrize("kind", [Equilibrium, Newmark, SymplecticEuler])
def test_hourglass_modes_are_named_when_a_step_is_built(kind):
    with pytest.warns(
        ImplausibleWarning, match=r"forces\.reduced with .* leaves 4 hourglass modes.*quadrature='full'"
    ) as found:
        clamped(kind)
    assert len(found) == 1


def test_what_resists_hourglass_modes_is_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clamped(Equilibrium, cells=(4, 2, 1))
        clamped(Equilibrium, quadratures=("full",))
        clamped(Equilibrium, quadratures=("full", "reduced"))

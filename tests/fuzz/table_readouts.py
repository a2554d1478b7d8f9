"""Calls that read stresses, energies, reactions and contacts out of a simulation."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from fuzz import scenes
from fuzz.calls import Argument, Call, instance, made, selection, tensor
from fuzz.kinds import Names, Numbers
from fuzz.scenes import CELLS, DT, VERTICES
from fuzz.table_steps import Parameters

from simlayer import RolloutModule, State, Step, SymplecticEuler, readouts

_state = {
    "positions": tensor(
        scenes.positions, lambda s: s[-2:] == (VERTICES, 3) and 0 not in s, finite=False
    ).called("state", "vertex"),
    "velocities": tensor(
        lambda: scenes.state().velocities, lambda s: s[-2:] == (VERTICES, 3) and 0 not in s, finite=False
    ).called("state", "vertex"),
}
_simulation = instance(lambda: _pressed(), Step, RolloutModule)
_parameters = Argument(Parameters(), lambda: {"youngs_modulus": torch.tensor(2e5)})
_forces = Argument(Names(("elastic",), optional=True), lambda: "elastic")
_about = Argument(Numbers(lambda s: s == (3,), finite=False, form="numbers"), lambda: (0.0, 0.1, 0.0))


@cache
def _pressed() -> SymplecticEuler:
    mesh = scenes.mesh()
    forces = {**scenes.forces(), "contact": scenes.contact()}
    return SymplecticEuler(mesh, forces, dt=DT, fixed="x_min")


def _on_parts(name: str, read: Any) -> list[Call]:
    def run(**parts: Any) -> Any:
        return read(_pressed(), scenes.state()._replace(**parts))

    return made(f"{name} State", run, **_state)


def _call(name: str, **others: Argument) -> list[Call]:
    read = getattr(readouts, name)

    def run(**given: Any) -> Any:
        return read(**{"simulation": _pressed(), "state": scenes.state(), **given})

    given = {"simulation": _simulation, "state": instance(scenes.state, State)}
    return made(name, run, **given, **others)


CALLS: list[Call] = [
    *_call("deformation_gradient", parameters=_parameters, forces=_forces),
    *_call("green_strain", parameters=_parameters, forces=_forces),
    *_call("logarithmic_strain", parameters=_parameters, forces=_forces),
    *_call("principal_stretches", parameters=_parameters, forces=_forces),
    *_call("quadrature_points", parameters=_parameters, forces=_forces),
    *_call("piola_kirchhoff_stress", parameters=_parameters, forces=_forces),
    *_call("cauchy_stress", parameters=_parameters, forces=_forces),
    *_call("von_mises_stress", parameters=_parameters, forces=_forces),
    *_on_parts("von_mises_stress", readouts.von_mises_stress),
    *_call("energies", parameters=_parameters),
    *_on_parts("energies", readouts.energies),
    *_call("powers", parameters=_parameters),
    *_call("volume", parameters=_parameters),
    *_call("centre_of_mass", parameters=_parameters),
    *_call("momentum", parameters=_parameters),
    *_call("angular_momentum", parameters=_parameters, about=_about),
    *_call("contact_loads", parameters=_parameters, about=_about),
    *_call("nodal_reactions", parameters=_parameters),
    *_call(
        "reaction", vertices=selection("x_min", ("x_min",), VERTICES), parameters=_parameters, about=_about
    ),
    *made(
        "project_to_vertices",
        lambda **given: readouts.project_to_vertices(**{"simulation": _pressed(), **given}),
        simulation=_simulation,
        values=tensor(lambda: torch.arange(10.0)[:, None], lambda s: s[-2:] == (CELLS, 1) and 0 not in s),
        parameters=_parameters,
        forces=_forces,
    ),
    *made(
        "energy_balance",
        lambda **given: readouts.energy_balance(**given).residual,
        rollout=instance(scenes.rollout, RolloutModule),
        state=instance(scenes.state, State),
        parameters=_parameters,
        controls=Argument(Parameters(3), lambda: {"gravity": torch.ones(3, 3)}, ("control", "gravity")),
    ),
]

"""Calls of what the rest is made of, and of classes that a user writes."""

from __future__ import annotations

from typing import Any

import torch
from fuzz import scenes
from fuzz.calls import (
    Argument,
    Call,
    choice,
    count,
    instance,
    made,
    positive,
    quantity,
    shaped,
    tensor,
    text,
    truth,
)
from fuzz.kinds import Numbers
from fuzz.scenes import CELLS, DT, VERTICES
from torch import Tensor, nn

from simlayer import (
    BarrierContact,
    Dissipation,
    ElasticForce,
    Force,
    Material,
    Matrix3,
    Mesh,
    Obstacle,
    PhysicalModule,
    Potential,
    Quantity,
    RatePotential,
    RolloutModule,
    State,
    SymplecticEuler,
    check_gradients,
    derived_quantity,
)
from simlayer.fem import FiniteElements, lumped_areas
from simlayer.identification import ObservedRollout
from simlayer.quantities import NamedTensors

a_mesh = instance(scenes.mesh, Mesh)


def _declared(value: Any, **options: Any) -> Any:
    class Spring(PhysicalModule):
        stiffness = Quantity(**options)

        def __init__(self) -> None:
            super().__init__()
            self.stiffness = value

    return Spring()


class _Spring(PhysicalModule):
    stiffness = Quantity("N/m", over="cells", positive=True)

    def __init__(self) -> None:
        super().__init__()
        self.stiffness = torch.ones(CELLS)

    @derived_quantity
    def compliance(self) -> Tensor:
        """The reciprocal of the stiffness [m/N]."""
        return 1 / self.stiffness


def _extended(**given: Any) -> Any:
    spring = _Spring()
    spring.set_extents(**given)
    return dict(spring.extents)


BASICS = [
    *made(
        "FiniteElements",
        FiniteElements,
        mesh=a_mesh,
        deterministic=truth(None, None),
        quadrature=choice("full"),
    ),
    *made("lumped_areas", lumped_areas, mesh=a_mesh),
    *made(
        "Quantity",
        _declared,
        value=quantity(0.5, low=0.0).called("stiffness"),
        unit=text("N/m", lambda unit: True),
        over=choice("uniform", "cells", "vertices", "components", "vertex vectors"),
        positive=truth(True),
        nonzero=truth(False),
    ),
    *made(
        "Quantity with a scale",
        _declared,
        value=quantity(0.5).called("stiffness"),
        unit=text("N/m", lambda unit: True),
        scale=positive(1.0, words=(None,)),
    ),
    *made(
        "Quantity in bounds",
        _declared,
        value=quantity(0.5, low=0.0, high=1.0).called("stiffness"),
        unit=text("N/m", lambda unit: True),
        bounds=Argument(Numbers(shaped((2,)), rising=True, words=(None,)), lambda: (0.0, 1.0)),
    ),
    *made("PhysicalModule.set_extents", _extended, cells=count(CELLS)),
    *made(
        "NamedTensors", lambda root: sorted(NamedTensors(root).values()), root=instance(_Spring, nn.Module)
    ),
    *made(
        "NamedTensors.value",
        lambda name: NamedTensors(_Spring()).value(name),
        name=text("stiffness", lambda name: name in ("stiffness", "log_stiffness")),
    ),
]


def _run(**forces: Force) -> Any:
    step = SymplecticEuler(scenes.mesh(), forces, dt=DT)
    return RolloutModule(step, 2, compile=False)(scenes.state())


def _energy(returned: Any) -> Any:
    class Written(Potential):
        def energy(self, positions: Tensor) -> Any:
            return returned

    return _run(written=Written())


def _power(returned: Any) -> Any:
    class Written(RatePotential):
        def energy(self, positions: Tensor, velocities: Tensor) -> Any:
            return returned

    return _run(written=Written())


def _force(returned: Any) -> Any:
    class Written(Force):
        def forward(self, state: State) -> Any:
            return returned

    return _run(written=Written())


def _density(returned: Any) -> Any:
    class Written(Material):
        stiffness = Quantity("Pa", over="cells", positive=True)

        def __init__(self) -> None:
            super().__init__()
            self.stiffness = 1.0

        def energy_density(self, F: Matrix3) -> Any:
            # A number times something of F, or there would be no stiffness.
            number = isinstance(returned, Tensor) and not returned.ndim
            return returned * self.stiffness * F.inner(F) if number else returned

    return _run(written=ElasticForce(scenes.mesh(), Written()))


def _distance(returned: Any) -> Any:
    class Written(Obstacle):
        def signed_distance(self, point: Any) -> Any:
            return returned + 0 * point[0] if isinstance(returned, Tensor) and not returned.ndim else returned

    contact = BarrierContact(scenes.mesh(), Written(), stiffness=1e4, activation_distance=3e-3)
    return _run(contact=contact)


def _velocities(returned: Any) -> Any:
    class Written(Dissipation):
        def forward(self, state: State, velocities: Tensor, context: Any) -> Any:
            return returned

    step = SymplecticEuler(scenes.mesh(), {}, dt=DT, dissipation={"written": Written()})
    return RolloutModule(step, 2, compile=False)(scenes.state())


def _observed(returned: Any) -> Any:
    class Written(nn.Module):
        def forward(self, positions: Tensor) -> Any:
            return returned

    return ObservedRollout(scenes.rollout(), Written(), torch.tensor([DT, 2 * DT]))(scenes.state())


def _loss(returned: Any) -> Any:
    def loss(state: State) -> Any:
        number = isinstance(returned, Tensor) and not returned.ndim
        return returned * state.positions.square().sum() if number else returned

    return check_gradients(scenes.rollout(), scenes.state(), loss, "gravity").passed


def _returned(make: Any, fits: Any, *names: str) -> dict[str, Argument]:
    return {"returned": tensor(make, fits).called(*names)}


def _vertices(shape: Any) -> bool:
    return shape == (VERTICES, 3)


def _one_or_all(shape: Any) -> bool:
    # A force may be the same on all vertices.
    return _vertices(shape) or shape in ((1, 3), (3,))


WRITTEN = [
    *made("Potential.energy", _energy, **_returned(lambda: torch.tensor(1.0), shaped(()), "energy")),
    *made("RatePotential.energy", _power, **_returned(lambda: torch.tensor(1.0), shaped(()), "energy")),
    *made(
        "Force.forward",
        _force,
        **_returned(lambda: torch.ones(VERTICES, 3), _one_or_all, "Written", "written", "state"),
    ),
    *made(
        "Material.energy_density",
        _density,
        **_returned(lambda: torch.tensor(1.0), shaped(()), "energy_density"),
    ),
    *made(
        "Obstacle.signed_distance",
        _distance,
        **_returned(lambda: torch.tensor(1.0), shaped(()), "signed_distance", "obstacle"),
    ),
    *made(
        "Dissipation.forward",
        _velocities,
        **_returned(lambda: torch.ones(VERTICES, 3), _vertices, "Written", "written", "state"),
    ),
    *made(
        "sensors",
        _observed,
        **_returned(lambda: torch.ones(2, 4, 3), lambda s: s == (2, 4, 3), "Written", "sensors"),
    ),
    *made("loss", _loss, **_returned(lambda: torch.tensor(1.0), shaped(()), "loss")),
]

CALLS: list[Call] = [*BASICS, *WRITTEN]

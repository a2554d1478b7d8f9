"""Small bodies before obstacles that the tests of contact share, in torch's default dtype."""

import copy
import functools

import torch
from torch import Tensor

from simlayer import (
    BarrierContact,
    Box,
    ElasticForce,
    HalfSpace,
    Mesh,
    Sphere,
    StableNeoHookean,
    State,
    Step,
    SymplecticEuler,
    box_mesh,
)

KAPPA_NAME = "forces.contact.log_stiffness"
PLACE_NAME = "forces.contact.obstacle.translation"
ACTIVATION = 3e-3
OBSTACLES = {
    "half-space": lambda: HalfSpace(normal=(0.05, 0.02, 1.0)),
    "sphere": lambda: Sphere(0.5, (0.04, 0.06, -0.5)),
    "box": lambda: Box((0.15, 0.3, 0.1), (0.05, 0.05, -0.052), rotation=(0.0, 0.03, 0.2)),
}


def block(height: float = 8e-3) -> Mesh:
    """A block of 0.2 x 0.1 x 0.1 m above the origin."""
    return box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1), origin=(0.0, 0.0, height))


@functools.cache
def _forces(name: str, dtype: torch.dtype) -> dict:
    mesh = block()
    contact = BarrierContact(mesh, OBSTACLES[name](), stiffness=2e4, activation_distance=ACTIVATION)
    return {"elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.3)), "contact": contact}


def dropped(name: str = "half-space", kind: type[Step] = SymplecticEuler, **options) -> Step:
    """A soft block in the air above an obstacle; tracing its forces takes a second, copying them none."""
    forces = copy.deepcopy(_forces(name, torch.get_default_dtype()))
    return kind(block(), forces, **({"dt": 4e-4, "gravity": (0.0, 0.0, -9.81)} | options))


def falling(*batch: int, speed: float = 0.5) -> State:
    """The block as it falls, and slides and turns a little."""
    x = block().vertices.expand(*batch, -1, 3)
    spin = torch.linalg.cross(torch.tensor([0.3, 0.2, 0.1]).expand_as(x), x)
    return State(x, spin + torch.tensor([0.05, 0.02, -speed]))


def lone_vertices(*, kappa: float, height: float = 3e-3, dt: float, **options) -> Step:
    """Vertices of a cube without stiffness, each a point mass of its own, above a floor."""
    mesh = box_mesh(cells=(1, 1, 1), size=(0.1, 0.1, 0.1), origin=(0.0, 0.0, height))
    options = {"stiffness": kappa, "activation_distance": 1e-3} | options
    return SymplecticEuler(mesh, {"contact": BarrierContact(mesh, HalfSpace(), **options)}, dt=dt)


def weights_like(x: Tensor) -> Tensor:
    """Numbers to weigh positions with, so that a wrong entry anywhere shows."""
    return torch.sin(torch.arange(x.numel(), dtype=x.dtype)).view_as(x)

"""The dissipation potentials that the contract of `RatePotential` runs over; a new one adds a line."""

import copy
from functools import cache

import torch
from support.meshes import ELEMENTS, wavy
from torch import nn

from simlayer import (
    ElasticForce,
    KelvinVoigt,
    NeuralViscosity,
    Quantity,
    RatePotential,
    RayleighDamping,
    StableNeoHookean,
)


class Drag(RatePotential):
    """What a user writes: a resistance that grows with speed and depth, by its energy alone."""

    coefficient = Quantity("N s²/m³", over="vertices", positive=True)

    def __init__(self, coefficient):
        super().__init__()
        self.coefficient = coefficient

    def energy(self, positions, velocities):
        speeds = (velocities.square().sum(-1) + 1e-4).sqrt()
        return (self.coefficient * speeds**3 * (1 + positions[..., 2].square())).sum(-1) / 3


@cache
def body(element="tet4"):
    return wavy(element, (2, 1, 1))


@cache
def viscous(element):
    mesh = body(element)
    return KelvinVoigt(mesh, shear_viscosity=1 + torch.rand(len(mesh.cells)), bulk_viscosity=0.7)


@cache
def elasticity(element):
    return ElasticForce(body(element), StableNeoHookean(3.0, 0.3))


@cache
def learned(element):
    mesh, ratio = body(element), 0.7
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return NeuralViscosity(
            mesh,
            shear_viscosity=1 + torch.rand(len(mesh.cells)),
            bulk_viscosity=ratio,
            characteristic_rate=2.0,
            hidden=(4, 3),
        )


def rayleigh(element="tet4"):
    damping = RayleighDamping("elastic", coefficient=0.2)
    forces = nn.ModuleDict({"elastic": copy.deepcopy(elasticity(element)), "damping": damping})
    damping.connect(forces)
    return damping


RATES = {f"viscous {element}": (element, lambda e=element: copy.deepcopy(viscous(e))) for element in ELEMENTS}
RATES |= {f"learned {e}": (e, lambda e=e: copy.deepcopy(learned(e))) for e in ("tet4", "hex20")}
RATES |= {f"Rayleigh {element}": (element, lambda e=element: rayleigh(e)) for element in ("tet4", "hex20")}
RATES |= {"written by a user": ("tet4", lambda: Drag(1 + torch.rand(len(body().vertices))))}
ELEMENT_FREE = ["written by a user"]


def made(name, *batch):
    """The potential, and a deformed and moving state."""
    element, make = RATES[name]
    torch.manual_seed(1)
    vertices = body(element).vertices
    x = vertices + 0.03 * torch.randn(*batch, *vertices.shape)
    return make(), x, torch.randn(*batch, *vertices.shape)


def size(tensor):
    return tensor.abs().max().item()

"""A body, the elastic forces of every material on it, and what tests of forces measure."""

from functools import cache

import torch
from support.materials import MATERIALS

from simlayer import ElasticForce, Mesh, PhysicalModule, State, box_mesh

# A box of 1 m³ in scale, so that E A is E [N] and E V is E [J].
E, NU = 1e5, 0.3


@cache
def body():
    """A unit box with its inner vertex moved, so that cells differ."""
    box = box_mesh(cells=(2, 2, 2))
    vertices = box.vertices.double()
    vertices[13] += torch.tensor([0.05, -0.08, 0.1])
    return Mesh(vertices, box.cells, vertex_sets=box.vertex_sets)


@cache
def _force(name, deterministic):
    # Once for all tests, since tracing takes up to two seconds; its quantities are set for each.
    return ElasticForce(body(), MATERIALS[name](E, NU), deterministic=deterministic)


def elastic(name, youngs_modulus=E, poissons_ratio=NU, *, deterministic=False):
    force, material = _force(name, deterministic), MATERIALS[name](youngs_modulus, poissons_ratio)
    parts = dict(material.named_modules())
    for path, part in force.material.named_modules():
        for quantity in part.quantities() if isinstance(part, PhysicalModule) else ():
            setattr(part, quantity, getattr(parts[path], quantity))
    force.requires_grad_(False)
    return force


def deformed(*batch, amount=0.03):
    """Random positions of a body whose cells are half a metre wide."""
    vertices = body().vertices
    return vertices + amount * torch.randn(*batch, *vertices.shape)


def forces_of(force, x):
    return force(State.at_rest(x))


def largest(tensor):
    return tensor.abs().max().item()

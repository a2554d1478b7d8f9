"""The actuators that their contract runs over; a new one adds a line."""

import copy
from functools import cache

import torch
from support.meshes import hollow, wavy

from simlayer import (
    Cable,
    CableServo,
    CavityPressure,
    ElasticForce,
    ForceLength,
    Muscle,
    PositionServo,
    Spring,
    StableNeoHookean,
)

# The bodies that actuators act on, about 1 m in size, of soft tissue.
E, NU = 3e3, 0.3


@cache
def body(kind="tet4"):
    """An element's name, or that of a hollow body of it."""
    return hollow(kind.split()[1]) if kind.startswith("hollow") else wavy(kind, (2, 1, 1))


def fields(mesh, seed=0):
    """Numbers from 0.2 to 0.8, one per cell."""
    generator = torch.Generator().manual_seed(seed)
    return 0.2 + 0.6 * torch.rand(len(mesh.cells), generator=generator, dtype=torch.float64)


def along_x(mesh):
    """Directions near the x axis, one per cell."""
    return torch.stack([torch.ones(len(mesh.cells)), fields(mesh, 1) - 0.5, fields(mesh, 2)], -1)


def muscle(element="tet4", **options):
    mesh = body(element)
    options = {"activation": fields(mesh), "peak_stress": 1e3 * (1 + fields(mesh, 3))} | options
    return Muscle(mesh, along_x(mesh), **options)


def part_of_a_muscle(**options):
    mesh = body("hollow tet4")
    return Muscle(
        mesh, along_x(mesh), activation=0.5, peak_stress=1e3, cells=torch.tensor([1, 2, 5]), **options
    )


# By name: the body, what makes it, and the quantity that a controller drives.
ACTUATORS = {
    f"muscle {element}": (element, lambda e=element: muscle(e), "activation")
    for element in ("tet4", "tet10", "hex8", "hex20")
}
ACTUATORS |= {
    "muscle with force and length": (
        "tet4",
        lambda: muscle(force_length=ForceLength(1 + 0.1 * fields(body()), width=0.4)),
        "activation",
    ),
    "muscle in a part": (
        "hollow tet4",
        lambda: part_of_a_muscle(force_length=ForceLength(1.05)),
        "activation",
    ),
}
ACTUATORS |= {
    f"pressure {element}": (
        f"hollow {element}",
        lambda e=element: CavityPressure(body(f"hollow {e}"), "cavity", pressure=300.0),
        "pressure",
    )
    for element in ("tet4", "hex8", "tet10")
}

# Through two cells, and along one edge; the last point is in space.
PATH = [(0.31, 0.05, 0.1), (0.52, 0.5, 0.93), (0.9, 0.4, 0.5), (1.4, 0.2, 0.8)]
QUADRATIC = [(0.2, 0.3, 0.3), (0.8, 0.3, 0.4)]


def on_hollow_tet4(kind, points=PATH, **options):
    return kind(body("hollow tet4"), points, **({"anchors": [len(points) - 1]} | options))


ACTUATORS |= {
    "cable": ("hollow tet4", lambda: on_hollow_tet4(Cable, tension=50.0), "tension"),
    "cable on the body": (
        "hollow tet4",
        lambda: on_hollow_tet4(Cable, PATH[:3], tension=9.0, anchors=[]),
        "tension",
    ),
    "servo of a cable": (
        "hollow tet4",
        lambda: on_hollow_tet4(CableServo, stiffness=200.0, rest_length=1.5),
        "rest_length",
    ),
    "spring": ("hollow tet4", lambda: on_hollow_tet4(Spring, PATH[2:], stiffness=90.0), "rest_length"),
    "spring in a quadratic body": (
        "tet10",
        lambda: Spring(body("tet10"), QUADRATIC, stiffness=90.0, rest_length=0.4),
        "rest_length",
    ),
    "position servo": (
        "hollow tet4",
        lambda: PositionServo(
            body("hollow tet4"),
            torch.tensor([20, 33, 47, 60]),
            stiffness=torch.tensor([20.0, 30.0, 40.0, 50.0]),
        ),
        "targets",
    ),
}

# One of each class on one body, because compiling takes a minute.
COMPILED = ["muscle in a part", "pressure tet4", "cable", "servo of a cable", "spring", "position servo"]


@cache
def _made(name):
    return ACTUATORS[name][1]()


def actuator(name):
    """A new copy of an actuator, since tracing takes a second."""
    return copy.deepcopy(_made(name))


def elastic(name):
    """The elasticity of the body of an actuator."""
    return copy.deepcopy(_elastic(ACTUATORS[name][0]))


@cache
def _elastic(element):
    return ElasticForce(body(element), StableNeoHookean(E, NU))


def deformed(name, *batch, amount=0.03):
    vertices = body(ACTUATORS[name][0]).vertices
    generator = torch.Generator().manual_seed(4)
    return vertices + amount * torch.randn(*batch, *vertices.shape, generator=generator, dtype=torch.float64)

"""Small scenes that the tests of steps and rollouts share, and the forces that a user might write.

Everything is built in torch's default dtype; most tests use the fixture `float64`.
"""

import copy
import functools

import torch
from torch import Tensor

from simlayer import (
    ElasticForce,
    Force,
    MassDamping,
    Material,
    Mesh,
    NodalLoad,
    Potential,
    Quantity,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
)

E_NAME = "forces.elastic.material.log_youngs_modulus"
NU_NAME = "forces.elastic.material.logit_poissons_ratio"
LOAD_NAME = "forces.load.forces"
DAMPING_NAME = "dissipation.damping.log_coefficient"


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers, the same in every run and precision."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(torch.get_default_dtype())


class Tether(Potential):
    """A potential that a user writes: stiffening springs to the rest shape, given by their energy alone."""

    stiffness = Quantity("N/m", positive=True)

    def __init__(self, anchors: Tensor, stiffness: float) -> None:
        super().__init__()
        self.stiffness = stiffness
        self.register_buffer("anchors", anchors.clone(), persistent=False)

    def energy(self, positions: Tensor) -> Tensor:
        squares = (positions - self.anchors).square().sum((-1, -2))
        # One value per sample, whether the stiffness is () or (B, 1).
        return 0.5 * self.stiffness.squeeze(-1) * squares * (1 + squares)


class Wind(Force):
    """A force that a user writes, without an energy: it drives vertex i with a learnt gain, by velocity."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(gain))

    def forward(self, state: State) -> Tensor:
        return self.gain * torch.tanh(state.velocities)


@functools.cache
def _soft_elasticity(cells: tuple[int, int, int], dtype: torch.dtype) -> ElasticForce:
    return ElasticForce(_box(cells), StableNeoHookean(1e5, 0.4))


def _box(cells: tuple[int, int, int]) -> Mesh:
    return box_mesh(cells=cells, size=tuple(0.1 * n for n in cells))


def _elasticity(cells: tuple[int, int, int], material: Material | None, quantities: dict) -> ElasticForce:
    # Tracing a material takes most of a second, copying it none.
    if material is None:
        force = copy.deepcopy(_soft_elasticity(cells, torch.get_default_dtype()))
    else:
        force = ElasticForce(_box(cells), material)
    for name in {"youngs_modulus", "poissons_ratio"} & quantities.keys():
        setattr(force.material, name, quantities.pop(name))
    return force


def free_box(
    cells: tuple[int, int, int] = (2, 1, 1), *, material: Material | None = None, dt: float = 1e-3, **options
) -> SymplecticEuler:
    """A free elastic body of boxes 0.1 m wide; `options` are the step's, and quantities of the material."""
    forces = {"elastic": _elasticity(cells, material, options)}
    return SymplecticEuler(_box(cells), forces | options.pop("forces", {}), dt=dt, **options)


def beam(
    cells: tuple[int, int, int] = (3, 1, 1), *, material: Material | None = None, dt: float = 4e-3, **options
) -> SymplecticEuler:
    """A beam with everything that a step may have: it is clamped, loaded, heavy, damped, and substepped.

    dt is two thirds of the stable one, so that a signal crosses the body in a few steps. `options` are the
    step's, and quantities of the material.
    """
    mesh = _box(cells)
    forces = {
        "elastic": _elasticity(cells, material, options),
        "load": NodalLoad(mesh, 0.5 * noise(len(mesh.vertices), 3, seed=1)),
    }
    defaults = {
        "density": 1000.0,
        "gravity": (1.0, -2.0, -9.81),
        "fixed": mesh.vertex_sets["x_min"],
        "prescribed_velocities": 0.1 * noise(len(mesh.vertices), 3, seed=2),
        "dissipation": {"damping": MassDamping(2.0)},
        "substeps": 2,
    }
    return SymplecticEuler(mesh, forces | options.pop("forces", {}), dt=dt, **(defaults | options))


def beam_of(element: str) -> tuple[SymplecticEuler, State]:
    """Two cells of another element with everything that a step may have, and a deformed and moving state."""
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1), element=element)
    count = len(mesh.vertices)
    step = SymplecticEuler(
        mesh,
        {
            "elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.4)),
            "load": NodalLoad(mesh, 0.5 * noise(count, 3, seed=1)),
        },
        dt="auto",
        gravity=(1.0, -2.0, -9.81),
        fixed="x_min",
        prescribed_velocities=0.1 * noise(count, 3, seed=2),
        dissipation={"damping": MassDamping(2.0)},
    )
    deformed = mesh.vertices + 1e-3 * noise(count, 3, seed=3)
    return step, State(deformed, 0.1 * noise(count, 3, seed=4))


def rest(cells: tuple[int, int, int] = (3, 1, 1)) -> Tensor:
    """The rest shape of the boxes above."""
    return _box(cells).vertices


def moving(
    cells: tuple[int, int, int] = (3, 1, 1), *batch: int, amount: float = 3e-3, seed: int = 3
) -> State:
    """A deformed and moving state; `amount` in m, of 0.1 m wide boxes, and per 10 ms."""
    x = rest(cells)
    return State(
        x + amount * noise(*batch, *x.shape, seed=seed), 100 * amount * noise(*batch, *x.shape, seed=seed + 1)
    )


def same(a: State, b: State) -> bool:
    """Whether two states are equal to the last bit."""
    return all(torch.equal(x, y) for x, y in zip([*a[:2], *a.history], [*b[:2], *b.history], strict=True))

"""Small valid objects for the calls, made once and copied where a call may change them."""

from __future__ import annotations

import copy
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import meshio
import torch
from torch import Tensor, nn

from simlayer import (
    BackwardEuler,
    BarrierContact,
    ElasticForce,
    HalfSpace,
    MassDamping,
    Mesh,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
)
from simlayer.identification import ObservedRollout, ObservedScenes, Vertices
from simlayer.motion_capture import Recording, register

# Different from each other, so that one cannot be taken for the other.
VERTICES, CELLS = 12, 10
DT = 1e-3


@cache
def mesh() -> Mesh:
    """Two boxes of 0.1 m in a row above the origin, without two of their cells."""
    box = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1), origin=(0.0, 0.0, 8e-3))
    return Mesh(box.vertices, box.cells[2:], vertex_sets=box.vertex_sets)


SETS = ("x_min", "x_max", "y_min", "y_max", "z_min", "z_max")


@cache
def _elastic() -> ElasticForce:
    return ElasticForce(mesh(), StableNeoHookean(1e5, 0.3))


@cache
def _contact() -> BarrierContact:
    return BarrierContact(mesh(), HalfSpace(), stiffness=1e4, activation_distance=3e-3)


def forces() -> dict[str, nn.Module]:
    """Shared by all steps: a copy of what is traced takes longer than the rest of a step."""
    return {"elastic": _elastic()}


def contact() -> BarrierContact:
    return copy.deepcopy(_contact())


def step(kind: Any = SymplecticEuler, **options: Any) -> Any:
    dissipation = {"damping": MassDamping(1.0)}
    return kind(mesh(), forces(), **{"dt": DT, "fixed": "x_min", "dissipation": dissipation, **options})


def implicit() -> BackwardEuler:
    return step(BackwardEuler)


def rollout(num_steps: int = 3) -> RolloutModule:
    return RolloutModule(step(), num_steps, compile=False)


def positions() -> Tensor:
    return mesh().vertices.clone()


def state() -> State:
    return State(positions(), 0.1 * torch.sin(positions()))


def observed(**options: Any) -> ObservedRollout:
    """Of a body of its own, since a fit changes it."""
    return ObservedRollout(copy.deepcopy(rollout()), Vertices(), torch.tensor([DT, 2 * DT]), **options)


def observed_scenes() -> ObservedScenes:
    x = positions().expand(2, -1, -1).clone()
    return ObservedScenes(x, torch.zeros_like(x), torch.stack([x, x], 1))


def recording() -> Recording:
    moved = torch.sin(torch.arange(15.0)) * torch.linspace(1, 2, 6)[:, None]
    return Recording(torch.linspace(0, 1, 6), moved.reshape(6, 5, 3))


def registration() -> Any:
    return register(recording(), recording().markers[0], held=(0, 2))


@cache
def folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="fuzz"))


@cache
def mesh_file() -> str:
    path = folder() / "body.vtu"
    meshio.Mesh(mesh().vertices.double().numpy(), {"tetra": mesh().cells.numpy()}).write(path)
    return str(path)


@cache
def image_file() -> str:
    path = folder() / "image.vtk"
    head = "# vtk DataFile Version 3.0\nan image\nASCII\nDATASET STRUCTURED_POINTS\nDIMENSIONS 3 2 2\n"
    path.write_text(head + "CELL_DATA 2\nSCALARS label int 1\nLOOKUP_TABLE default\n1 2\n")
    return str(path)


@cache
def scan_file() -> str:
    path = folder() / "scan.xyz"
    path.write_text("0 0 0\n1 0 0\n0 1 0\n")
    return str(path)


@cache
def recording_file() -> str:
    path = folder() / "take.csv"
    lines = ["m1_x,m1_y,m1_z,m2_x,m2_y,m2_z"] + [
        ",".join(str(0.1 * k + j) for j in range(6)) for k in range(4)
    ]
    path.write_text("\n".join(lines) + "\n")
    return str(path)

"""Known initial states: at rest, thrown, or moving so that a material can be identified."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from simlayer.mesh.mesh import Mesh, MeshError
from simlayer.state import State

Speeds = float | int | Sequence[float | int]


def at_rest(mesh: Mesh, fixed: Bool[Tensor, "N 3"]) -> State:
    """Return one scene: the rest shape at rest."""
    return State.at_rest(mesh.vertices[None])


def thrown(mesh: Mesh, fixed: Bool[Tensor, "N 3"], *, velocity: Sequence[float | int]) -> State:
    """Return one scene: the rest shape, moving as a whole.

    Args:
        mesh: the body.
        fixed: the components that do not move.
        velocity: [m/s], three components.

    Raises:
        ValueError: if the velocity does not have three components.
    """
    if len(velocity) != 3:
        raise ValueError(f"velocity must have three components in m/s, got {list(velocity)}.")
    velocities = mesh.vertices.new_tensor(velocity).expand(1, *mesh.vertices.shape)
    return State(mesh.vertices[None], velocities.masked_fill(fixed, 0.0))


def pulled_and_twisted(
    mesh: Mesh, fixed: Bool[Tensor, "N 3"], *, pull: Speeds = 2.0, twist: Speeds = 8.0
) -> State:
    """Return the rest shape with velocities that grow from the fixed vertices to the far end.

    Pulling shows Young's modulus and twisting the shear modulus, which together determine Poisson's ratio;
    a sagging body hardly shows it.

    Args:
        mesh: the body.
        fixed: the components that stay at rest, of vertices at one end.
        pull: speed of the far end, away from the fixed end [m/s]; a list makes several scenes.
        twist: speed of the far end around the axis, at a distance of the body's length from it [m/s]; a list
            makes several scenes.

    Raises:
        MeshError: if no vertex is fixed, or not at one end.
        ValueError: if both are lists, of different lengths.
    """
    ends = fixed.all(1)
    if not bool(ends.any()):
        raise MeshError(f"{mesh.source}: pulling and twisting needs fixed vertices, at one end.")
    arms = mesh.vertices - mesh.vertices[ends].mean(0)
    axis = torch.nn.functional.normalize(arms.mean(0), dim=0)
    along = arms @ axis
    length = along.max()
    if not float(length) > 0.01 * float(arms.norm(dim=1).max()):
        raise MeshError(f"{mesh.source}: the fixed vertices must lie at one end, not around the middle.")
    pulls, twists = _column(pull), _column(twist)
    counts = len(pulls), len(twists)
    if 0 in counts or (1 not in counts and counts[0] != counts[1]):
        raise ValueError(
            "pull and twist must be equally many speeds, or one of them a single speed, got "
            f"{counts[0]} and {counts[1]}."
        )
    around = torch.linalg.cross(axis.expand_as(arms), arms) / length
    velocities = (along / length)[:, None] * (pulls * axis + twists * around)
    velocities = velocities.masked_fill(ends[:, None], 0.0)
    return State(mesh.vertices.expand_as(velocities), velocities)


def _column(speeds: Speeds) -> Float[Tensor, "B 1 1"]:
    several = [speeds] if isinstance(speeds, int | float) else speeds
    return torch.tensor([float(speed) for speed in several])[:, None, None]

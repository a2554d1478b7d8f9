"""Controls with which fixed vertices and obstacles follow a path."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from simlayer.errors import first_index
from simlayer.linalg.rotation import rotation_matrix, rotation_vector
from simlayer.quantities.arguments import checked_flag, checked_number
from simlayer.quantities.arrays import described
from simlayer.quantities.objects import checked_instance


def motion_controls(path: Float[Tensor, "frames *batch N 3"], dt: float) -> dict[str, Tensor]:
    """Return controls that move the fixed vertices along a path: exact at every step, straight in between.

        rollout(State.at_rest(positions), controls=motion_controls(path, rollout.step.dt))

    Differentiable in the path. Only differences count: a path of `(T+1, *batch, 1, 3)` moves all fixed
    vertices alike, from wherever they start.

    Args:
        path: positions [m] at the start and after each of T steps; those of free components are not
            read.
        dt: duration of a step [s].

    Raises:
        ValueError: if the path has no step, or is not finite.
    """
    _check_path(path)
    dt = checked_number("dt", dt, above=0.0, unit="s")
    return {"prescribed_velocities": path.diff(dim=0) / dt}


def obstacle_controls(
    path: Float[Tensor, "frames *batch 3"],
    dt: float,
    *,
    explicit: bool,
    rotations: Float[Tensor, "_ *batch 3"] | None = None,
    contact: str = "contact",
) -> dict[str, Tensor]:
    """Return controls that move the obstacle of a contact along a path: its places and velocities.

        step = rollout.step
        rollout(state, controls=obstacle_controls(path, step.dt, explicit=step.explicit))

    Differentiable in the path. An obstacle keeps its place for a step: the one at the start of the step,
    where an explicit step looks for contact, or the one at its end, where an implicit step does.

    Args:
        path: where the obstacle is [m], its `translation`, at the start and after each of T steps.
        dt: duration of a step [s].
        explicit: whether the step is, `step.explicit`.
        rotations: the obstacle's `rotation` [rad] at the same times, by less than half a turn per step.
        contact: name of the contact among the forces.

    Raises:
        ValueError: if a path has no step or is not finite, or the rotations have another number of them.
    """
    _check_path(path)
    dt = checked_number("dt", dt, above=0.0, unit="s")
    checked_flag("explicit", explicit)
    checked_instance("contact", contact, str)
    places = {"translation": path} | ({} if rotations is None else {"rotation": rotations})
    speeds = {"velocity": path.diff(dim=0) / dt}
    if rotations is not None:
        _check_path(rotations, name="rotations")
        if rotations.shape[-1] != 3:
            raise ValueError(f"rotations must be of shape (T + 1, *batch, 3), got {tuple(rotations.shape)}.")
        if len(rotations) != len(path):
            raise ValueError(f"path has {len(path)} places, rotations has {len(rotations)}.")
        matrices = rotation_matrix(rotations)
        speeds["angular_velocity"] = rotation_vector(matrices[1:] @ matrices[:-1].mT) / dt
    read = slice(None, -1) if explicit else slice(1, None)
    controls = {name: place[read] for name, place in places.items()} | speeds
    return {f"forces.{contact}.obstacle.{name}": control for name, control in controls.items()}


def _check_path(path: Tensor, *, name: str = "path") -> None:
    if not isinstance(path, Tensor) or not path.is_floating_point():
        raise TypeError(f"{name} must be a floating-point tensor of positions, got {described(path)}.")
    if path.ndim < 2 or path.shape[-1] != 3:
        raise ValueError(f"{name} must hold positions of 3 components, got shape {tuple(path.shape)}.")
    if len(path) < 2:
        raise ValueError(f"{name} must hold the start and at least one step, got shape {tuple(path.shape)}.")
    wrong = ~path.detach().isfinite()
    if bool(wrong.any()):
        index = first_index(wrong)
        raise ValueError(f"{name} must be finite, got {float(path[index].detach())} at index {index}.")

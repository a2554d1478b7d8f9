"""Controls with which fixed vertices and obstacles follow a path."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from simlayer.autodiff.torch_private import is_mapped
from simlayer.errors import first_index
from simlayer.linalg.rotation import rotation_matrix, rotation_vector
from simlayer.quantities.arguments import checked_flag, checked_number
from simlayer.quantities.arrays import checked_floats, described
from simlayer.quantities.objects import checked_text


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
        TypeError: if the path is no dense tensor of single or double precision.
        ValueError: if it has no step, is of another shape, or is not finite, at free components too.
    """
    _check_path("path", path, "N")
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
        TypeError: if a path is no dense tensor of single or double precision.
        ValueError: if it has no step or is not finite, or the rotations have another number of steps, another
            dtype, or a batch that does not fit.
    """
    _check_path("path", path)
    dt = checked_number("dt", dt, above=0.0, unit="s")
    checked_flag("explicit", explicit)
    checked_text("contact", contact)
    places = {"translation": path} | ({} if rotations is None else {"rotation": rotations})
    speeds = {"velocity": path.diff(dim=0) / dt}
    if rotations is not None:
        _check_path("rotations", rotations)
        _check_together(path, rotations)
        matrices = rotation_matrix(rotations)
        speeds["angular_velocity"] = rotation_vector(matrices[1:] @ matrices[:-1].mT) / dt
    read = slice(None, -1) if explicit else slice(1, None)
    controls = {name: place[read] for name, place in places.items()} | speeds
    return {f"forces.{contact}.obstacle.{name}": control for name, control in controls.items()}


def _check_together(path: Tensor, rotations: Tensor) -> None:
    """Raise ValueError unless a path and rotations are of one obstacle in one batch."""
    if len(rotations) != len(path) or rotations.dtype != path.dtype:
        raise ValueError(
            "path and rotations must be at the same times and of one dtype, got "
            f"{described(path)}, and {described(rotations)}."
        )
    batches = path.shape[1:-1], rotations.shape[1:-1]
    if any(a != b and 1 not in (a, b) for a, b in zip(*map(reversed, batches), strict=False)):
        raise ValueError(
            f"path is of a batch {tuple(batches[0])} and rotations are of {tuple(batches[1])}, which do not "
            "broadcast: give both for the same samples, or one without a batch."
        )


def _check_path(name: str, path: Tensor, *own: str) -> None:
    """Raise TypeError or ValueError, naming `name`, unless this is a path, with axes of its own before 3."""
    checked_floats(name, path)
    if path.ndim < 2 + len(own) or path.shape[-1] != 3 or len(path) < 2:
        raise ValueError(
            f"{name} must hold the start and at least one step, of shape "
            f"({', '.join(('T + 1', '*batch', *own, '3'))}), got shape {tuple(path.shape)}."
        )
    if is_mapped(path):
        return  # none of its numbers can be read
    wrong = ~path.detach().isfinite()
    if bool(wrong.any()):
        index = first_index(wrong)
        step, *rest = index
        sample, vertex = tuple(rest[: len(rest) - 1 - len(own)]), rest[-2:-1] if own else []
        raise ValueError(
            f"{name} must be finite, got {path[index].item():g} "
            f"{f'after step {step}' if step else 'at the start'}"
            f"{f', in sample {sample}' if sample else ''}{f', at vertex {vertex[0]}' if vertex else ''}."
        )

"""Errors and warnings, and the texts that they share."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence

from torch import Tensor

# How many of a list a message names.
_LISTED = 5


class SimulationError(RuntimeError):
    """A simulation that cannot go on; the message says where, why, and what to try.

    Attributes:
        steps_before: how many of the steps that were to be done in one go were done.
        sample: index of the first sample that is wrong, empty without a batch.
    """

    steps_before = 0

    def __init__(self, message: str, *, sample: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.sample = sample

    def locate(self, step: int, dt: float) -> None:
        """Add to the message in which step of a rollout it happened, the first being 1."""
        self.args = (f"in step {step} (t = {step * dt:g} s): {self}", *self.args[1:])


class UnstableStepError(SimulationError):
    """A time step beyond the stability limit of the scene.

    Attributes:
        stable_dt: the longest stable dt of all samples [s].
        suggested_dt: a dt that is stable [s].
        suggested_substeps: how many substeps make the given dt stable.
    """

    def __init__(
        self,
        message: str,
        *,
        sample: tuple[int, ...] = (),
        stable_dt: float = math.nan,
        suggested_dt: float = math.nan,
        suggested_substeps: int = 0,
    ) -> None:
        super().__init__(message, sample=sample)
        self.stable_dt, self.suggested_dt = stable_dt, suggested_dt
        self.suggested_substeps = suggested_substeps


class DivergenceError(SimulationError):
    """A state that is no longer finite.

    Attributes:
        step: after how many steps; 0 is the initial state.
        vertices: the vertices that are not finite.
        forces: the names of the forces that are not finite before that step.
        stable_dt: the longest stable dt before that step [s].
    """

    def __init__(
        self,
        message: str,
        *,
        step: int = 0,
        sample: tuple[int, ...] = (),
        vertices: tuple[int, ...] = (),
        forces: tuple[str, ...] = (),
        stable_dt: float = math.nan,
    ) -> None:
        super().__init__(message, sample=sample)
        self.step, self.vertices, self.forces, self.stable_dt = step, vertices, forces, stable_dt


class PenetrationError(SimulationError):
    """A body inside an obstacle, or too fast for a step to stop it outside.

    Attributes:
        step: after how many steps; 0 is the initial state.
        vertices: the vertices that are inside, or too fast.
        distance: the smallest distance of any of them to the obstacle [m].
        approach: the largest distance by which any of them came nearer in one step, over the activation
            distance.
        suggested_dt: a time step that resolves the contact [s], None for an implicit one.
        suggested_stiffness: of the contact [Pa] that stops the body in time.
    """

    def __init__(
        self,
        message: str,
        *,
        step: int = 0,
        sample: tuple[int, ...] = (),
        vertices: tuple[int, ...] = (),
        distance: float = math.nan,
        approach: float = math.nan,
        suggested_dt: float | None = None,
        suggested_stiffness: float | None = None,
    ) -> None:
        super().__init__(message, sample=sample)
        self.step, self.vertices = step, vertices
        self.distance, self.approach = distance, approach
        self.suggested_dt, self.suggested_stiffness = suggested_dt, suggested_stiffness

    def locate(self, step: int, dt: float) -> None:
        super().locate(step, dt)
        self.step = step


class ContactWarning(UserWarning):
    """A contact that is resolved well enough for a motion, but not for its gradients."""


class ImplausibleWarning(UserWarning):
    """What is valid and unlikely to be meant; the message says what it is, and what to take instead."""


class GradientError(SimulationError):
    """A gradient that is not finite."""


class TracingError(RuntimeError):
    """A function that cannot be traced into tensor operations; the message says why, and where."""


class ConfigError(ValueError):
    """A configuration that cannot be run; the message says which key, and what instead."""


class ObservationError(ValueError):
    """Observations of a body that cannot be read, or not be compared with a simulation, as they are."""


class ConvergenceError(SimulationError):
    """An iteration that did not reach its tolerance.

    Attributes:
        history: a line about each iteration.
    """

    def __init__(self, message: str, history: tuple[str, ...] = (), *, sample: tuple[int, ...] = ()) -> None:
        super().__init__(message, sample=sample)
        self.history = history


def hint(name: str, known: Iterable[str]) -> str:
    """Return a hint: the nearest name, or all names where none is near."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f"did you mean {near[0]!r}?" if near else f"there are {known}."


def listed(vertices: Sequence[int]) -> str:
    """Format the first few of a list of vertices."""
    more = f" and {len(vertices) - _LISTED} more" if len(vertices) > _LISTED else ""
    return f"{list(vertices[:_LISTED])}{more}"


def first_index(mask: Tensor) -> tuple[int, ...]:
    """Return the index of the first true entry, by all axes."""
    return tuple(mask.nonzero()[0].tolist())

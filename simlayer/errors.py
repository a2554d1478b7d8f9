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
    """

    steps_before = 0

    def locate(self, step: int, dt: float) -> None:
        """Say in which step of a rollout it happened, the first being 1."""
        self.args = (f"in step {step} (t = {step * dt:g} s): {self}", *self.args[1:])


class UnstableStepError(SimulationError):
    """A time step beyond the stability limit of the scene."""


class DivergenceError(SimulationError):
    """A state that is no longer finite."""


class PenetrationError(SimulationError):
    """A body inside an obstacle, or so fast that a step can not tell whether it is.

    Attributes:
        step: after how many steps; 0 is the initial state.
        sample: index of the sample, empty without a batch.
        vertices: which are inside, or too fast.
        distance: the smallest of any of them to the obstacle [m].
        approach: the largest distance by which any of them came nearer in one step, over the activation
            distance.
        suggested_dt: a step that resolves the contact [s], None for an implicit one.
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
        super().__init__(message)
        self.step, self.sample, self.vertices = step, sample, vertices
        self.distance, self.approach = distance, approach
        self.suggested_dt, self.suggested_stiffness = suggested_dt, suggested_stiffness

    def locate(self, step: int, dt: float) -> None:
        super().locate(step, dt)
        self.step = step


class ContactWarning(UserWarning):
    """A contact that is resolved well enough for a motion, but not for its gradients."""


class GradientError(SimulationError):
    """A gradient that is not finite."""


class ConfigError(ValueError):
    """A configuration that can not be run; the message says which key, and what instead."""


class ObservationError(ValueError):
    """What was seen of a body can not be read, or not be compared with a simulation, as it is."""


class ConvergenceError(SimulationError):
    """An iteration that did not reach its tolerance.

    Attributes:
        history: what was seen at each iteration, a line each.
    """

    def __init__(self, message: str, history: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.history = history


def hint(name: str, known: Iterable[str]) -> str:
    """The nearest of the known names, or all of them where none is near."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f"did you mean {near[0]!r}?" if near else f"there are {known}."


def listed(vertices: Sequence[int]) -> str:
    """The first few."""
    more = f" and {len(vertices) - _LISTED} more" if len(vertices) > _LISTED else ""
    return f"{list(vertices[:_LISTED])}{more}"


def first_index(mask: Tensor) -> tuple[int, ...]:
    """Of what is true, by all of its axes."""
    return tuple(mask.nonzero()[0].tolist())

"""Errors and warnings, and the texts that they share."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence

from torch import Tensor

# How many of a list a message names.
_LISTED = 5


class SimulationError(RuntimeError):
    """A simulation that cannot continue; the message says where, why, and what to try.

    Attributes:
        steps_before: how many of the steps that were to be done in one go were done.
    """

    steps_before = 0

    def locate(self, step: int, dt: float) -> None:
        """Add the step of a rollout in which it happened, the first being 1, to the message."""
        self.args = (f"in step {step} (t = {step * dt:g} s): {self}", *self.args[1:])


class UnstableStepError(SimulationError):
    """A time step beyond the stability limit of the scene.

    Attributes:
        stable_dt: the longest stable time step [s].
        substeps: how many substeps would make the present dt stable.
        sample: index of the first sample that is unstable, empty without a batch.
    """

    def __init__(
        self, message: str, *, stable_dt: float = math.nan, substeps: int = 1, sample: tuple[int, ...] = ()
    ) -> None:
        super().__init__(message)
        self.stable_dt, self.substeps, self.sample = stable_dt, substeps, sample

    @classmethod
    def beyond(
        cls, stable: Tensor, *, dt: float, substeps: int, cause: str, remedy: str
    ) -> UnstableStepError:
        """Return the error of a step that is too long.

        Args:
            stable: the longest stable time step of each sample [s].
            dt, substeps: those of the step.
            cause: what the limit holds for.
            remedy: what else may help.
        """
        sample = first_index(stable < dt) if stable.ndim else ()
        limit = float(stable.min())
        needed = int(substeps * dt / (0.9 * limit)) + 1
        where = f" of sample {sample}" if sample else ""
        return cls(
            f"dt = {dt:g} s{in_substeps(substeps)} is beyond the stable time step{where}, {limit:.3g} s "
            f"{cause}; use dt <= {0.9 * limit:.2g}, or substeps >= {needed}{remedy}.",
            stable_dt=limit,
            substeps=needed,
            sample=sample,
        )


class DivergenceError(SimulationError):
    """A state that is no longer finite.

    Attributes:
        step: after how many steps; 0 is the initial state.
        sample: index of the first sample that is not finite, empty without a batch.
        vertices: its vertices that are not finite.
    """

    def __init__(
        self, message: str, *, step: int = 0, sample: tuple[int, ...] = (), vertices: tuple[int, ...] = ()
    ) -> None:
        super().__init__(message)
        self.step, self.sample, self.vertices = step, sample, vertices


class PenetrationError(SimulationError):
    """A body inside an obstacle, or so fast that a step cannot resolve the contact.

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
    """A configuration that cannot be run; the message says which key is wrong, and what to write instead."""


class ObservationError(ValueError):
    """An observation that cannot be read, or cannot be compared with a simulation, as it is."""


class ConvergenceError(SimulationError):
    """An iteration that did not reach its tolerance.

    Attributes:
        history: one line per iteration.
    """

    def __init__(self, message: str, history: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.history = history


def hint(name: str, known: Iterable[str]) -> str:
    """Return a hint to the nearest of some names, or to all of them where none is near."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f"did you mean {near[0]!r}?" if near else f"there are {known}."


def listed(vertices: Sequence[int]) -> str:
    """Return the first few vertices, and how many more there are."""
    more = f" and {len(vertices) - _LISTED} more" if len(vertices) > _LISTED else ""
    return f"{list(vertices[:_LISTED])}{more}"


def first_index(mask: Tensor) -> tuple[int, ...]:
    """Return the index of the first element that is true."""
    return tuple(mask.nonzero()[0].tolist())


def in_substeps(substeps: int) -> str:
    """Return a phrase for the number of substeps, if there are several."""
    return f" in {substeps} substeps" if substeps > 1 else ""

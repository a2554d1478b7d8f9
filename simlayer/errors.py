"""Failures of a simulation, and of what was seen of a body."""


class SimulationError(RuntimeError):
    """A simulation that cannot go on; the message says where, why, and what to try."""


class UnstableStepError(SimulationError):
    """A time step beyond the stability limit of the scene."""


class DivergenceError(SimulationError):
    """A state that is no longer finite."""


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

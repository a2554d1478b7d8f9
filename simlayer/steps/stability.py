"""Words that failures of a simulation share."""

from __future__ import annotations

from simlayer.steps.base import Step


def in_substeps(step: Step) -> str:
    return f" in {step.substeps} substeps" if step.substeps > 1 else ""


def needed_substeps(step: Step, limit: float) -> int:
    """To stay below a stable time step."""
    return int(step.substeps * step.dt / (0.9 * limit)) + 1

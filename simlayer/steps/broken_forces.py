"""Which force or dissipation of a step returns what is not finite."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from simlayer.forces.base import Force
from simlayer.forces.terms import Term
from simlayer.state import State
from simlayer.steps.base import Step


def broken_terms(step: Step, terms: Sequence[tuple[Term, Tensor]]) -> str:
    """Return in words which terms are not finite where they are evaluated; empty if all are.

    Args:
        step: whose forces and dissipations the last terms belong to, in their order.
        terms: the terms of its incremental potential, with their arguments.
    """
    named = [*step.forces.named_children(), *step.dissipation.named_children()]
    names = [(name, part) for name, part in named if part.has_term]
    own = terms[len(terms) - len(names) :]
    for (name, part), (term, vectors) in zip(names, own, strict=True):
        kind = "forces" if isinstance(part, Force) else "dissipation"
        for what, value in (("energy", term.energy(vectors)), ("gradient", term.gradient(vectors))):
            if not bool(value.isfinite().all()):
                return f"the {what} of {kind}.{name} ({type(part).__name__})"
    return ""


def broken_force(step: Step, positions: Tensor) -> str:
    """Return in words which force is not finite on a body at rest at positions; empty if all are."""
    state = State.at_rest(positions)
    for name, force in step.forces.named_children():
        if not bool(force(state).isfinite().all()):
            return f"forces.{name} ({type(force).__name__})"
    return ""

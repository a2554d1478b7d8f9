"""The quadrature points of a body, and fields over them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.elements.types import element_of
from simlayer.errors import hint
from simlayer.fem.finite_elements import FiniteElements
from simlayer.forces.base import Force
from simlayer.forces.cell_terms import CellTerm
from simlayer.linalg.matrix3 import Matrix3
from simlayer.quantities.objects import names_of_quantities
from simlayer.readouts.evaluation import Simulation, evaluated
from simlayer.rollout.inputs import Named
from simlayer.state import State
from simlayer.steps.base import Step

Names = str | Iterable[str] | None


def quadrature_points(
    simulation: Simulation, state: State, parameters: Named | None = None, *, forces: Names = None
) -> Float[Tensor, "*batch M Q 3"]:
    """Return where the Q quadrature points of every cell are [m].

    They are those of the forces that have a stress, 1 per tet4, 8 per hex8, and for quadratic elements as
    many as `quadrature` of these forces says.

    Args:
        simulation: a rollout or a step.
        state: of any batch, such as the frames of a trajectory; `State.at_rest(mesh.vertices)` for the points
            of the rest shape.
        parameters: quantities in place of the step's own, as for a rollout.
        forces: the name of the force, or several, whose points are meant; all by default.

    Raises:
        KeyError, TypeError, ValueError: as from a rollout, or if forces have different quadrature.
    """
    with evaluated(simulation, state, parameters) as (step, at):
        nodes = at.positions[..., step.elements.mesh.cells, :]
        functions = shape_functions(cell_elements(step, forces)).to(nodes)
        return torch.einsum("qc,...mci->...mqi", functions, nodes)


def stress_terms(step: Step, state: State) -> dict[str, CellTerm]:
    """Return the terms of all forces of a step that have a stress, wherever its points are, by name."""
    terms = {}
    for name, force in step.forces.items():
        assert isinstance(force, Force)
        term = force.term(state.positions, state.positions) if force.has_term else None
        if isinstance(term, CellTerm):
            terms[name] = term
    return terms


def cell_terms(step: Step, state: State, forces: Names = None) -> dict[str, CellTerm]:
    """Return the terms of those forces of a step that have a stress, by the names of the forces.

    Args:
        step: whose forces.
        state: where.
        forces: the names of some; all by default.

    Raises:
        ValueError: if one of the named has no stress, or two have different quadrature.
    """
    found = stress_terms(step, state)
    named = list(found) if forces is None else names_of_quantities("forces", forces)
    if not named and forces is not None:
        raise ValueError(f"forces must name at least one of {list(step.forces)}, got none.")
    for name in named:
        if name not in step.forces:
            raise ValueError(f"forces: the step has no force {name!r}; {hint(name, step.forces)}")
        if name not in found:
            raise ValueError(f"forces: {name!r} is {type(step.forces[name]).__name__}, which has no stress.")
    terms = {name: found[name] for name in named}
    kinds = {name: term.elements.quadrature for name, term in terms.items()}
    if len(set(kinds.values())) > 1:
        raise ValueError(
            f"forces have stresses at different points, got quadrature {kinds}: choose some by forces=[...]."
        )
    return terms


def cell_elements(step: Step, forces: Names = None) -> FiniteElements:
    """Return the elements whose quadrature points the stresses of a step are at, its own without any."""
    rest = State.at_rest(step.elements.mesh.vertices)
    found = [term.elements for term in cell_terms(step, rest, forces).values()]
    whole = [elements for elements in [*found, step.elements] if elements.cells is None]
    if found and whole[0].quadrature != found[0].quadrature:
        raise ValueError(
            "a force in a part of the cells has reduced quadrature, and none in all cells has: give it "
            "quadrature='full', or choose other forces by forces=[...]."
        )
    return whole[0]


def shape_functions(elements: FiniteElements) -> Float[Tensor, "Q C"]:
    """Return the shape functions of the nodes at the quadrature points of a cell, in double precision."""
    return element_of(elements.connectivity).shape.functions(elements.rule.tensors()[0])


def points_last(
    field: Float[Tensor, "*cells_and_batch"], elements: FiniteElements
) -> Float[Tensor, "*batch M Q"]:
    """Return a field over cells with its own axes last, zero in cells of the mesh that are not of these."""
    field = field if elements.has_points else field[None]
    own = field.movedim((0, 1), (-1, -2))
    if elements.cells is None:
        return own
    whole = own.new_zeros((*own.shape[:-2], len(elements.mesh.cells), own.shape[-1]))
    return whole.index_copy(-2, elements.cells, own)


def matrices(field: Matrix3, elements: FiniteElements) -> Float[Tensor, "*batch M Q 3 3"]:
    """Return a field of matrices over cells as one tensor."""
    parts = [points_last(part, elements) for part in torch.broadcast_tensors(*field)]
    return torch.stack(parts, -1).unflatten(-1, (3, 3))

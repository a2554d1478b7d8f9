"""Fields over quadrature points as smooth fields over vertices."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.autodiff.torch_private import is_mapped
from simlayer.elements.types import element_of
from simlayer.fem.fields import over_batch
from simlayer.fem.finite_elements import FiniteElements
from simlayer.readouts.evaluation import Simulation, evaluated, step_of
from simlayer.readouts.points import Names, cell_elements
from simlayer.rollout.inputs import Named
from simlayer.state import State
from simlayer.steps.mass_matrix import ConsistentMassSolve
from simlayer.steps.state_checks import check_tensor


def project_to_vertices(
    simulation: Simulation,
    values: Float[Tensor, "*batch_and_own"],
    parameters: Named | None = None,
    *,
    forces: Names = None,
) -> Float[Tensor, "*batch_and_vertices"]:
    """Return the L2 projection of a field over quadrature points onto the shape functions.

    The field of values at vertices whose squared distance to the given one, (tri)linear in each cell and
    integrated over the rest shape, is smallest (Hinton, Campbell 1974). It is smooth across cells, also where
    stresses jump between materials.
    Project the components of a stress, and take `von_mises` of the result: a projected von Mises stress may
    be negative.

        sigma = project_to_vertices(rollout, cauchy_stress(rollout, state))         # (*batch, N, 3, 3)

    Args:
        simulation: the rollout or step that the field is of.
        values: numbers `(*batch, M, Q)`, vectors `(*batch, M, Q, 3)` or matrices `(*batch, M, Q, 3, 3)`.
        parameters: quantities in place of the step's own, of which only rest positions are read.
        forces: as they were given for the field.

    Returns:
        `(*batch, N)`, `(*batch, N, 3)` or `(*batch, N, 3, 3)`.

    Raises:
        ValueError: if the values are of another shape, or not finite.
        KeyError, TypeError: as from a rollout.
    """
    rest = State.at_rest(step_of(simulation).elements.mesh.vertices)
    with evaluated(simulation, rest, parameters) as (step, _):
        elements = cell_elements(step, forces)
        check_tensor("values", values, step.free)
        if not is_mapped(values) and not bool(values.isfinite().all()):
            raise ValueError("values must be finite, got NaN or infinity among them.")
        own = _own_shape(values, elements)
        columns = values.reshape(*values.shape[: values.ndim - len(own)], -1)
        found = _projected(columns, elements, step.elements)
        return found.reshape(*found.shape[:-1], *own)


def _own_shape(values: Tensor, elements: FiniteElements) -> torch.Size:
    """Return the shape of the values of one point; raises ValueError if there is no such field."""
    expected = len(elements.mesh.cells), len(elements.rule.weights)
    for count in (2, 1, 0):
        own = values.shape[values.ndim - count :]
        if values.shape[: -count or None][-2:] == expected and own == (3,) * count:
            return own
    raise ValueError(
        f"values must be of shape (*batch, {expected[0]}, {expected[1]}), with (3,) or (3, 3) after it for "
        f"vectors or matrices, for {expected[0]} cells of {expected[1]} quadrature points, got "
        f"{tuple(values.shape)}."
    )


def _projected(
    columns: Float[Tensor, "*batch M Q K"], elements: FiniteElements, whole: FiniteElements
) -> Float[Tensor, "*batch N K"]:
    """Return the solution of M s = ∫ N f dV for every column f, with M the mass of unit density."""
    fields = torch.einsum("pq,...mqk->kpm...", _at_mass_points(elements).to(columns), columns)
    weighted = fields * over_batch(elements.mass_weights, 2, columns.ndim - 3)
    integrals = torch.einsum("pc,kpm...->kcm...", elements.mass_functions, weighted)
    right = elements.gather.nodes.sum_to_vertices(integrals).movedim((0, 1), (-1, -2))
    # Vectors of three components are what the solver takes.
    missing = -right.shape[-1] % 3
    groups = torch.nn.functional.pad(right, (0, missing)).unflatten(-1, (-1, 3)).movedim(-2, 0)
    unit = whole.weights.new_ones(())
    masses = whole.vertex_masses(unit)
    solve = ConsistentMassSolve(whole, torch.ones_like(groups[(0,) * (groups.ndim - 2)]))
    inputs = groups, unit, unit.new_zeros(1), masses.reciprocal()
    found = solve(*inputs) if whole.reshaped is None else solve(*inputs, whole.mass_weights)
    return found.movedim(0, -2).flatten(-2)[..., : right.shape[-1]]


def _at_mass_points(elements: FiniteElements) -> Float[Tensor, "P Q"]:
    """Return the matrix of values at the points of the rule for masses by those at quadrature points.

    Through the (tri)linear function of the reference coordinates that is nearest to them, a constant for a
    single point: the rule of the stiffness does not integrate the products with shape functions exactly.
    """
    element = element_of(elements.connectivity)
    points, masses = (rule.tensors()[0] for rule in (elements.rule, element.mass_rule))
    if len(points) == 1:
        return points.new_ones(len(masses), 1)
    return element.linear.functions(masses) @ torch.linalg.pinv(element.linear.functions(points))

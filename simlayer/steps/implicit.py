"""The base class of implicit steps, which minimize an incremental potential."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.dissipation import Dissipation
from simlayer.fem.finite_elements import FiniteElements
from simlayer.forces.base import Force
from simlayer.forces.cell_terms import by_elements
from simlayer.forces.terms import Term
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.arguments import checked_choice, checked_number
from simlayer.quantities.checked_module import Option
from simlayer.quantities.named import NamedTensors
from simlayer.quantities.objects import checked_instance
from simlayer.solvers.block_matrix import Assembly
from simlayer.solvers.line_search import SearchPaths
from simlayer.solvers.linear import LinearSolver, solver_for
from simlayer.solvers.newton import NewtonSolver
from simlayer.solvers.problem import MinimizationProblem
from simlayer.state import State
from simlayer.steps.base import Step
from simlayer.steps.implicit_solve import ImplicitSolve
from simlayer.steps.incremental_potential import IncrementalPotential, Scheme, StepData
from simlayer.steps.internal_variables import remembered_values
from simlayer.steps.mass_matrix import Inertia, accelerations, mass_matrices, weighed
from simlayer.steps.point_mass import PointMass
from simlayer.steps.rest_shape import current_rest_shape, in_own_rest_shape
from simlayer.steps.rotating_paths import search_paths

MASS_MATRICES = ("lumped", "consistent")


class ImplicitStep(Step, ABC):
    """A step whose forces are those at its end: the minimum of an incremental potential.

    inertia/2 |x - target|²_M + potentials(x) + dissipation potentials(velocities(x)) / rate, with velocities
    drift + rate (x - target). Forces without a term are taken from the start of the step, and so is what
    friction reads of a contact.

    Backward is one linear solve per step with the exact tangent, whatever the number of iterations. It keeps
    the state, and of a large body the last factor of the search where that is within `memory_budget` [bytes]:
    in a rollout its share in that of the rollout; for a step that is called by itself zero unless it is
    assigned.

    Args:
        mass_matrix: "lumped", a mass at every vertex, or "consistent", the kinetic energy of what is between
            them too, better for what moves locally, such as torsion of coarse quadratic elements.
        newton: how the minimum is found.
        solver: how linear systems are solved; "auto" chooses by size, and logs its choice.
        mesh, forces, dt, density, masses, gravity, fixed, prescribed_velocities, dissipation, substeps:
            as for `Step`.

    Raises:
        ConvergenceError: from a call, if no minimum is found, or the linear system of backward not solved.
    """

    explicit = False
    newton = Option(checked_instance, kind=NewtonSolver)
    solver = Option(checked_instance, kind=LinearSolver, example="SparseDirect()")
    memory_budget = Option(checked_number, least=0, unit="bytes")

    def __init__(
        self,
        mesh: Mesh,
        forces: Mapping[str, Force],
        *,
        dt: float | Literal["auto"],
        density: float | Tensor = 1000.0,
        masses: Mapping[str, PointMass] | None = None,
        gravity: Sequence[float] | Tensor = (0.0, 0.0, 0.0),
        fixed: Tensor | str | None = None,
        prescribed_velocities: Tensor | None = None,
        dissipation: Mapping[str, Dissipation] | None = None,
        substeps: int = 1,
        mass_matrix: str = "lumped",
        newton: NewtonSolver | None = None,
        solver: LinearSolver | Literal["auto"] = "auto",
    ) -> None:
        checked_choice("mass_matrix", mass_matrix, MASS_MATRICES)
        if isinstance(solver, str):
            checked_choice("solver", solver, ("auto",))
        super().__init__(
            mesh,
            forces,
            dt=dt,
            density=density,
            masses=masses,
            gravity=gravity,
            fixed=fixed,
            prescribed_velocities=prescribed_velocities,
            dissipation=dissipation,
            substeps=substeps,
        )
        self.consistent_mass = mass_matrix == "consistent"
        self.newton = NewtonSolver() if newton is None else newton
        self.memory_budget = 0
        with torch.no_grad():
            terms = self.terms(*[mesh.vertices] * 3)
        sets = [first.connectivity for first, *_ in by_elements(terms)]
        self.assembly = Assembly(
            [cells for cells in sets if cells is not None], self.free, points=mesh.vertices
        )
        dynamic = self.scheme.inertia > 0
        self.solver = solver_for(self.assembly.pattern, dynamic=dynamic) if solver == "auto" else solver

    @property
    @abstractmethod
    def scheme(self) -> Scheme:
        """The coefficients of the scheme, see `Scheme`."""

    # Here and in what follows, sums take a factor where they can: in forward mode torch would compute
    # products in Python.
    @abstractmethod
    def free_motion(self, state: State) -> tuple[Tensor, Tensor, Tensor]:
        """Return target, drift and predicted positions, see `StepData`."""

    @property
    def paths(self) -> SearchPaths:
        """The paths along which a minimum is searched."""
        dynamic = self.scheme.inertia > 0
        # Along those of the mesh, whatever its rest shape is now: what is kept for them is the same then.
        elements, pattern = self.elements, self.assembly.pattern
        if elements.reshaped is not None:
            elements = pattern.analysis(FiniteElements, lambda _: FiniteElements(elements.mesh).to(self.free))
        return search_paths(elements, self.free, pattern, dynamic=dynamic)

    def minimum(
        self, problem: MinimizationProblem, start: Float[Tensor, "*batch N 3"], solver: LinearSolver
    ) -> Float[Tensor, "*batch N 3"]:
        """Return the minimum of the incremental potential near the start; raises ConvergenceError."""
        return self.newton.minimize(problem, start, solver, self.paths)

    def history(self, state: State, data: StepData, positions: Tensor) -> tuple[Tensor, ...]:
        """Return what the next step reads of this one, given the state before and the positions after."""
        return ()

    def substep(self, state: State) -> State:
        # Half before and half after keeps the order of the step.
        state = state._replace(
            velocities=self.dissipated(state, state.velocities, self.h / 2, without_term=True)
        )
        data = self._data(state)
        named = NamedTensors(self)
        values = named.values() | current_rest_shape(self.elements, named) | remembered_values(self)
        solve = ImplicitSolve(
            self,
            self.problem,
            names=tuple(values),
            minimize=self.minimum,
            solver=self.solver,
            memory=self.memory_budget,
        )
        positions = solve(*data, *values.values())
        velocities = data.velocities(positions, self.scheme.rate)
        end = state._replace(positions=positions)
        velocities = self.dissipated(end, velocities, self.h / 2, without_term=True)
        velocities = torch.where(self.free > 0, velocities, self.fixed_velocities)
        return State(positions, velocities, self.history(state, data, positions))

    def stable_dts(
        self, state: State | None = None, *, contact: Float[Tensor, "*batch"] | None = None
    ) -> Float[Tensor, "*batch"]:
        """Return infinity: implicit steps are stable at any dt."""
        return self.free.new_tensor(float("inf"))

    def problem(self, data: StepData) -> IncrementalPotential:
        """Return the incremental potential of a step, for the values that the modules have now."""
        masses = mass_matrices(self, consistent=self.consistent_mass)
        return IncrementalPotential(
            self,
            self.scheme,
            data,
            self.terms(data.target, data.start, data.predicted),
            loads=weighed(masses, self.gravity_field.expand_as(data.constant)) + data.constant,
            momentum=self.scheme.inertia**0.5 * weighed(masses, data.drift),
            assembly=self.assembly,
        )

    def terms(self, target: Tensor, start: Tensor, predicted: Tensor) -> list[Term]:
        """Return the terms of inertia, forces and dissipations, see `StepData` and `Force.term`."""
        inertia = self.scheme.inertia
        masses = mass_matrices(self, consistent=self.consistent_mass) if inertia else []
        parts = cast("list[Force | Dissipation]", [*self.forces.values(), *self.dissipation.values()])
        return [
            *(Inertia(mass, inertia, target) for mass in masses),
            *(part.term(start, predicted) for part in parts if part.has_term),
        ]

    @in_own_rest_shape
    def accelerations(self, state: State) -> Float[Tensor, "*batch N 3"]:
        """Return the accelerations of the free components [m/s²], by all but terms `at_end`."""
        forces = [f for f in map(self._force, self.forces) if not (f.has_term and f.at_end)]
        total = sum(self.nodal_forces(state, forces), torch.zeros_like(state.positions))
        masses = mass_matrices(self, consistent=self.consistent_mass)
        weight = weighed(masses, self.gravity_field.expand_as(total))
        return accelerations(self, total + weight, consistent=self.consistent_mass)

    @in_own_rest_shape
    def end_accelerations(self, start: Tensor, end: State) -> Float[Tensor, "*batch N 3"]:
        """Return the accelerations [m/s²] by terms `at_end`, given the positions at the start of the step."""
        terms = [term for term in self.terms(*[start] * 3) if term.at_end]
        if not terms:
            return torch.zeros_like(end.positions)
        parts = [term.gradient(end.velocities if term.of_velocities else end.positions) for term in terms]
        total = sum(parts, torch.zeros_like(end.positions))
        return -accelerations(self, total, consistent=self.consistent_mass)

    def _data(self, state: State) -> StepData:
        target, drift, predicted = self.free_motion(state)
        fixed = state.positions + self.h * self.fixed_velocities
        forces = [force for force in map(self._force, self.forces) if not force.has_term]
        constant = sum(self.nodal_forces(state, forces), torch.zeros_like(state.positions))
        return StepData(target, drift, predicted, fixed, constant, state.positions)

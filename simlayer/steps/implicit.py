"""What implicit steps share: the terms of the incremental potential whose minimum they seek."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.dissipation import Dissipation
from simlayer.forces.base import Force, Potential, RatePotential
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.named import NamedTensors
from simlayer.solvers.block_matrix import Assembly
from simlayer.solvers.linear import LinearSolver, solver_for
from simlayer.solvers.newton import NewtonSolver
from simlayer.solvers.problem import Problem
from simlayer.state import State
from simlayer.steps.base import Step
from simlayer.steps.implicit_solve import Increment
from simlayer.steps.incremental_potential import Motion, Terms
from simlayer.steps.mass_matrix import ConsistentMass, LumpedMass, MassMatrix

MASS_MATRICES: dict[str, MassMatrix] = {
    "lumped": LumpedMass(),
    "consistent": ConsistentMass(),
}


class ImplicitStep(Step, ABC):
    """A step whose forces are those at its end: the minimum of an incremental potential.

    inertia/2 |x - target|²_M + potentials(x) + dissipation potentials(velocities(x)) / rate, with velocities
    drift + rate (x - target). Forces without a potential are taken from the start of the step, and so is what
    friction needs to know of a contact.

    Backward is one linear solve a step with the exact tangent, whatever the number of iterations, and keeps
    the state only.

    Args:
        mass_matrix: "lumped", a mass at every vertex, or "consistent", the kinetic energy of what is between
            them too, better for what moves locally, such as torsion of coarse quadratic elements.
        newton: how the minimum is found.
        solver: how linear systems are solved; "auto" chooses by size, and says so in the log.
        options: as for `Step`.

    Raises:
        ConvergenceError: from a call, if no minimum is found, or the linear system of backward not solved.
    """

    explicit = False

    def __init__(
        self,
        mesh: Mesh,
        forces: Mapping[str, Force],
        *,
        mass_matrix: str = "lumped",
        newton: NewtonSolver | None = None,
        solver: LinearSolver | Literal["auto"] = "auto",
        **options: Any,
    ) -> None:
        if mass_matrix not in MASS_MATRICES:
            raise ValueError(f"mass_matrix must be one of {list(MASS_MATRICES)}, got {mass_matrix!r}.")
        super().__init__(mesh, forces, **options)
        self.mass_matrix = MASS_MATRICES[mass_matrix] if self.inertia else ConsistentMass(at_rest=True)
        self.newton = newton or NewtonSolver()
        couplings = [p.couplings for p in self._potentials()] + [r.couplings for r in self._rates()]
        couplings += [torch.arange(self.num_vertices)[:, None] for _ in self._lagging()]
        sets = [cells for cells in couplings if cells is not None]
        self.assembly = Assembly([*sets, *self.mass_matrix.couplings(self)], self.free)
        self.solver = solver_for(self.free.numel(), dynamic=self.inertia > 0) if solver == "auto" else solver

    @property
    def terms(self) -> Terms:
        """What the incremental potential is the sum of."""
        return Terms(
            self._potentials(),
            self._rates(),
            self._lagging(),
            self.mass_matrix,
            self.assembly,
            self.inertia,
            self.rate,
            self.lagged_weight,
        )

    def _potentials(self) -> list[Potential]:
        return [force for force in self.forces.values() if isinstance(force, Potential)]

    def _rates(self) -> list[RatePotential]:
        return [force for force in self.forces.values() if isinstance(force, RatePotential)]

    def _lagging(self) -> list[Dissipation]:
        parts = [cast(Dissipation, part) for part in self.dissipation.values()]
        return [part for part in parts if part.has_potential]

    @property
    @abstractmethod
    def inertia(self) -> float:
        """The factor of the masses [1/s²]."""

    @property
    @abstractmethod
    def rate(self) -> float:
        """How fast the velocities at the end change with the positions there [1/s]."""

    @property
    def lagged_weight(self) -> float:
        """The factor of lagged potentials, for them to act as they are at the end for the whole step."""
        return 1.0

    @abstractmethod
    def free_motion(self, state: State) -> tuple[Tensor, Tensor, Tensor]:
        """Target, drift and predicted positions, see `Motion`."""

    def minimum(self, problem: Problem, start: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        """The minimum of the incremental potential near the start; raises ConvergenceError."""
        return self.newton.minimize(problem, start, self.solver)

    def history(self, state: State, motion: Motion, positions: Tensor) -> tuple[Tensor, ...]:
        """What the next step needs to know of this one: of the state before and the positions after."""
        return ()

    @property
    def h(self) -> float:
        """Duration of a substep [s]."""
        return self.dt / self.substeps

    def substep(self, state: State) -> State:
        # Half before and half after keeps the order of the step.
        state = state._replace(velocities=self._dissipated(state, state.velocities))
        motion = self._motion(state)
        positions = self._solved(state, motion)
        velocities = motion.velocities(positions, self.rate)
        velocities = self._dissipated(state._replace(positions=positions), velocities)
        velocities = torch.addcmul(self.held_velocities, self.free, velocities)
        return State(positions, velocities, self.history(state, motion, positions))

    def stable_dts(
        self, state: State | None = None, *, contact: Float[Tensor, "*batch"] | None = None
    ) -> Float[Tensor, "*batch"]:
        """Any: implicit steps are stable."""
        return self.free.new_tensor(float("inf"))

    def accelerations(self, state: State) -> Float[Tensor, "*batch N 3"]:
        """Of the free components, by all forces but those with lagged potentials [m/s²]."""
        total = sum((force(state) for force in self.forces.values()), torch.zeros_like(state.positions))
        weight = self.mass_matrix.product(self, self.gravity[..., None, :].expand_as(total))
        return self.mass_matrix.accelerations(self, total + weight)

    def lagged_accelerations(self, positions: Tensor, velocities: Tensor) -> Float[Tensor, "*batch N 3"]:
        """Those by lagged potentials, with these positions at the start [m/s²]."""
        potentials = [part.lagged_potential(positions, self.forces) for part in self._lagging()]
        total = sum((p.gradient(velocities) for p in potentials), torch.zeros_like(velocities))
        return -self.mass_matrix.accelerations(self, total)

    def _motion(self, state: State) -> Motion:
        target, drift, predicted = self.free_motion(state)
        held = state.positions + self.h * self.held_velocities
        constant = torch.zeros_like(state.positions)
        for force in self.forces.values():
            if not isinstance(force, Potential | RatePotential):
                constant = constant + force(state)
        return Motion(target, drift, predicted, held, constant, state.positions)

    def _solved(self, state: State, motion: Motion) -> Tensor:
        inputs = NamedTensors(self).values()
        increment = Increment(
            self, self.terms, names=tuple(inputs), minimize=self.minimum, solver=self.solver
        )
        return increment(*motion, *inputs.values())

    def _dissipated(self, state: State, velocities: Tensor) -> Tensor:
        for dissipation in self.dissipation.values():
            if not dissipation.has_potential:
                velocities = dissipation(state, velocities, self.context(self.h / 2))
        return velocities

"""What implicit steps share: the incremental potential, its minimum, and the derivatives of that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.binding import Binding, inputs_of
from simlayer.errors import ConvergenceError
from simlayer.forces.base import Force, Potential, RatePotential
from simlayer.implicit.base import Problem, flattened
from simlayer.implicit.block_matrix import Assembly
from simlayer.implicit.conjugate_gradients import conjugate_gradients
from simlayer.implicit.newton import Newton
from simlayer.implicit.root import Root
from simlayer.implicit.solvers import LinearSolver, solver_for
from simlayer.mesh import Mesh
from simlayer.state import State
from simlayer.steps.base import Step
from simlayer.steps.incremental_potential import IncrementalPotential, Motion, Terms
from simlayer.steps.mass_matrix import ConsistentMass, LumpedMass, MassMatrix

MASS_MATRICES: dict[str, MassMatrix] = {
    "lumped": LumpedMass(),
    "consistent": ConsistentMass(),
    "at rest": ConsistentMass(at_rest=True),
}

# Of the residual of the adjoint system, relative to its right-hand side.
_ADJOINT = {torch.float64: 1e-9, torch.float32: 1e-5}


class ImplicitStep(Step, ABC):
    """A step whose forces are those at its end: the minimum of an incremental potential.

    inertia/2 |x - target|²_M + potentials(x) + dissipation potentials(velocities(x)) / rate, with velocities
    drift + rate (x - target). Forces without a potential are taken from the start of the step.

    Backward is one linear solve a step with the exact tangent, whatever the number of iterations, and keeps
    the state only.

    Args:
        mass_matrix: "lumped", a mass at every vertex, or "consistent", the kinetic energy of what is between
            them too, better for what moves locally, such as torsion of coarse quadratic elements; "at rest":
            consistent weights, and no inertia.
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
        newton: Newton | None = None,
        solver: LinearSolver | Literal["auto"] = "auto",
        **options: Any,
    ) -> None:
        if mass_matrix not in MASS_MATRICES:
            raise ValueError(f"mass_matrix must be one of {list(MASS_MATRICES)}, got {mass_matrix!r}.")
        super().__init__(mesh, forces, **options)
        self.mass_matrix = MASS_MATRICES[mass_matrix]
        self.newton = newton or Newton()
        couplings = [p.couplings for p in self._potentials()] + [r.couplings for r in self._rates()]
        sets = [cells for cells in couplings if cells is not None]
        self.assembly = Assembly([*sets, *self.mass_matrix.couplings(self)], self.free)
        self.solver = solver_for(self.free.numel(), dynamic=self.inertia > 0) if solver == "auto" else solver

    @property
    def terms(self) -> Terms:
        """What the incremental potential is the sum of."""
        return Terms(
            self._potentials(), self._rates(), self.mass_matrix, self.assembly, self.inertia, self.rate
        )

    def _potentials(self) -> list[Potential]:
        return [force for force in self.forces.values() if isinstance(force, Potential)]

    def _rates(self) -> list[RatePotential]:
        return [force for force in self.forces.values() if isinstance(force, RatePotential)]

    @property
    @abstractmethod
    def inertia(self) -> float:
        """The factor of the masses [1/s²]."""

    @property
    @abstractmethod
    def rate(self) -> float:
        """How fast the velocities at the end change with the positions there [1/s]."""

    @abstractmethod
    def free_motion(self, state: State) -> tuple[Tensor, Tensor, Tensor]:
        """Target, drift and predicted positions, see `Motion`."""

    def minimum(self, problem: Problem, start: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        """The minimum of the incremental potential near the start; raises ConvergenceError."""
        return self.newton.minimize(problem, start, self.solver)

    def history(
        self, state: State, positions: Tensor, velocities: Tensor, target: Tensor
    ) -> tuple[Tensor, ...]:
        """What the next step needs to know of this one."""
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
        velocities = motion.drift + self.rate * (positions - motion.target)
        velocities = self._dissipated(state._replace(positions=positions), velocities)
        velocities = torch.addcmul(self.held_velocities, self.free, velocities)
        return State(positions, velocities, self.history(state, positions, velocities, motion.target))

    def stable_dts(
        self, state: State | None = None, *, contact: Float[Tensor, "*batch"] | None = None
    ) -> Float[Tensor, "*batch"]:
        """Any: implicit steps are stable."""
        return self.free.new_tensor(float("inf"))

    def accelerations(self, state: State) -> Float[Tensor, "*batch N 3"]:
        """Of the free components, by all forces [m/s²]."""
        total = sum((force(state) for force in self.forces.values()), torch.zeros_like(state.positions))
        weight = self.mass_matrix.product(self, self.gravity[..., None, :].expand_as(total))
        return self.mass_matrix.accelerations(self, total + weight)

    def _motion(self, state: State) -> Motion:
        target, drift, predicted = self.free_motion(state)
        held = state.positions + self.h * self.held_velocities
        constant = torch.zeros_like(state.positions)
        for force in self.forces.values():
            if not isinstance(force, Potential | RatePotential):
                constant = constant + force(state)
        return Motion(target, drift, predicted, held, constant)

    def _solved(self, state: State, motion: Motion) -> Tensor:
        inputs = inputs_of(self)
        start = state.positions.detach()
        return Increment(self, tuple(inputs), start)(*motion, *inputs.values())

    def _dissipated(self, state: State, velocities: Tensor) -> Tensor:
        for dissipation in self.dissipation.values():
            velocities = dissipation(state, velocities, self.h / 2, self.forces)
        return velocities


class Increment(Root):
    """The positions at the end of one implicit step.

    Args:
        step: whose step.
        names: of the values that its modules read, in the order in which they are given.
        start: positions at the start.
    """

    def __init__(self, step: ImplicitStep, names: Sequence[str], start: Tensor) -> None:
        # Bound again whenever something is computed: in backward the modules have other values, or none.
        self.step, self.bind, self.start = step, Binding(step, names), start

    def find(self, *inputs: Tensor) -> Tensor:
        with torch.no_grad(), self._problem(inputs) as problem:
            guesses = [
                _held(x, self.step.free, problem.motion.held) for x in (self.start, problem.motion.predicted)
            ]
            problem.check_start(guesses[0])
            return self.step.minimum(problem, _better(problem, *guesses))

    def residual(self, positions: Tensor, *inputs: Tensor) -> Tensor:
        free = self.step.free
        with self._problem(inputs) as problem:
            held = problem.motion.held
            balance = problem.balance(_held(positions, free, held))
            return balance.gradient + (1 - free) * (positions - held)

    def solve(self, positions: Tensor, right: Tensor, *inputs: Tensor) -> Tensor:
        with torch.no_grad(), self._problem(inputs) as problem:
            tangent, solver = problem.tangent(positions, projected=False), self.step.solver
            found = conjugate_gradients(
                tangent.multiplication(),
                flattened(right),
                solver.inverse(tangent.matrix),
                tolerance=_ADJOINT[right.dtype],
                max_iterations=solver.max_iterations,
            )
        if not bool((found.residual <= 10 * _ADJOINT[right.dtype]).all()):
            raise ConvergenceError(
                "the linear system of backward was not solved: residual "
                f"{float(found.residual.max()):.1e} after {found.iterations} iterations of "
                + type(solver).__name__
                + (", its matrix is not positive definite" if bool(found.indefinite.any()) else "")
                + ". Try another solver, or check that the state is a stable one."
            )
        return found.vectors.view_as(right)

    @contextmanager
    def _problem(self, inputs: Sequence[Tensor]) -> Iterator[IncrementalPotential]:
        with self.bind(inputs[len(Motion._fields) :]):
            yield IncrementalPotential(self.step, self.step.terms, Motion(*inputs[: len(Motion._fields)]))


def _held(positions: Tensor, free: Tensor, held: Tensor) -> Tensor:
    """The positions with the held components where they are held."""
    return free * positions + (1 - free) * held


def _better(problem: IncrementalPotential, first: Tensor, second: Tensor) -> Tensor:
    """Of two guesses in each sample the one with the lower energy, if the way to it is free."""
    better = problem.value(second) < problem.value(first)
    better = better & (problem.longest_move(first, second - first) >= 1)
    return torch.where(better[..., None, None], second, first)

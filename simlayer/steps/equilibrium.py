"""The state of rest under loads."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.dissipation import Dissipation
from simlayer.errors import ConvergenceError, listed
from simlayer.forces.base import Force
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.pieces import piece_of_vertices
from simlayer.solvers.linear import LinearSolver
from simlayer.solvers.load_stepping import minimize_by_load_steps
from simlayer.solvers.newton import NewtonSolver
from simlayer.solvers.problem import MinimizationProblem
from simlayer.solvers.rigid_body_modes import zero_stiffness_modes
from simlayer.solvers.soft_modes import soft_modes
from simlayer.state import State
from simlayer.steps.implicit import ImplicitStep
from simlayer.steps.incremental_potential import Scheme
from simlayer.steps.point_mass import PointMass


class Equilibrium(ImplicitStep):
    """The static equilibrium near a state, with the fixed components where that state has them.

    One call is the whole solution; its gradient is one linear solve, to every quantity and to the positions
    of what is fixed. The free components of the state are a guess and have no gradient. Repeated by a rollout
    it follows loads that are controls, or fixed components with prescribed velocities. Where Newton's method
    does not get there at once, it goes in load steps, which give up after a bounded number of Hessians.

    Arguments as for `ImplicitStep`; dt only counts the time of a rollout. Weights are consistent. Called by
    itself it has a `memory_budget` of 1 GiB.

    Raises:
        ConvergenceError: from a call, if there is no equilibrium near, or the body, or a piece of it, could
            move as a rigid one without any force against it, so that there are many.
    """

    history_size = 0
    piece: Tensor

    def __init__(
        self,
        mesh: Mesh,
        forces: Mapping[str, Force],
        *,
        dt: float = 1.0,
        density: float | Tensor = 1000.0,
        masses: Mapping[str, PointMass] | None = None,
        gravity: Sequence[float] | Tensor = (0.0, 0.0, 0.0),
        fixed: Tensor | str | None = None,
        prescribed_velocities: Tensor | None = None,
        dissipation: Mapping[str, Dissipation] | None = None,
        substeps: int = 1,
        newton: NewtonSolver | None = None,
        solver: LinearSolver | Literal["auto"] = "auto",
    ) -> None:
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
            mass_matrix="consistent",
            newton=newton,
            solver=solver,
        )
        self.memory_budget = 2**30
        self.register_buffer("piece", piece_of_vertices(mesh.cells, len(mesh.vertices)), persistent=False)
        x = mesh.vertices
        rates = [n for n, force in forces.items() if force.has_term and force.term(x, x).of_velocities]
        for kind, names in (("dissipation", list(self.dissipation)), ("forces", rates)):
            if names:
                raise ValueError(f"an equilibrium has no velocities: leave out {kind} {', '.join(names)}.")

    def minimum(
        self, problem: MinimizationProblem, start: Float[Tensor, "*batch N 3"], solver: LinearSolver
    ) -> Float[Tensor, "*batch N 3"]:
        computable = bool(problem.residual(start).gradient.isfinite().all())
        if computable:
            self._check_fixed(problem, start)
        try:
            positions = minimize_by_load_steps(self.newton, problem, start, solver, self.paths)
        except ConvergenceError as error:
            if computable:
                _check_soft(problem, start, error)
            raise
        self._check_fixed(problem, positions)
        smallest = float(self.elements.deformation_gradient(positions).det().min())
        if smallest <= 0:
            warnings.warn(
                f"the equilibrium has cells that are inside out, the smallest J = det F is {smallest:.3g}: "
                "refine the mesh, lower the loads, or take a material like StableNeoHookean that resists.",
                stacklevel=2,
            )
        return positions

    def _check_fixed(self, problem: MinimizationProblem, positions: Tensor) -> None:
        count = int(self.piece.max()) + 1
        parts = [(self.piece == number).nonzero().flatten() for number in range(count)] if count > 1 else []
        for vertices in (*parts, None):
            if motions := zero_stiffness_modes(problem, positions, self.free, vertices):
                what = (
                    "the body" if vertices is None else f"the piece with vertices {listed(vertices.tolist())}"
                )
                join = "" if vertices is None else ", join it to others (read_mesh(..., merge=...))"
                raise ConvergenceError(
                    f"nothing resists a rigid motion of {what}: {', '.join(motions)}. Fix more of its "
                    f"vertices (three that are not in a line){join}, or add a force with a stiffness."
                )

    @property
    def scheme(self) -> Scheme:
        return Scheme(inertia=0.0, rate=0.0)

    def free_motion(self, state: State) -> tuple[Tensor, Tensor, Tensor]:
        positions = state.positions.detach()
        return positions, torch.zeros_like(positions), positions


def _check_soft(problem: MinimizationProblem, positions: Tensor, error: ConvergenceError) -> None:
    """Raise ConvergenceError if some deformations have no stiffness where the search began."""
    samples = positions.shape[:-2]
    index = int(torch.arange(samples.numel()).view(samples)[error.sample]) if samples else 0
    if modes := soft_modes(problem.tangent(positions, projected=False).matrix, index):
        raise ConvergenceError(
            f"at least {len(modes)} motions of the body deform it without any energy, the first at vertices "
            f"{listed(modes[0])}. Elements with quadrature='reduced' have such modes where the body is one "
            "cell thick: take quadrature='full', or two cells. Or look there for parts without a stiffness, "
            f"or joined at a vertex or edge only.\n{error}",
            error.history,
            sample=error.sample,
        ) from error

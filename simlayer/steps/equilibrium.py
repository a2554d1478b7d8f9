"""The state of rest under loads."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.errors import ConvergenceError
from simlayer.forces.base import Force
from simlayer.mesh.mesh import Mesh
from simlayer.solvers.load_stepping import minimize_in_steps
from simlayer.solvers.problem import Problem
from simlayer.solvers.rigid_body_modes import unresisted
from simlayer.state import State
from simlayer.steps.implicit import ImplicitStep


class Equilibrium(ImplicitStep):
    """The static equilibrium near a state, with the held components where that state has them.

    One call is the whole solution; its gradient is one linear solve, to every quantity and to the positions
    of what is held. The free components of the state are a guess and have no gradient. Repeated by a rollout
    it follows loads that are controls, or held components with prescribed velocities. Where Newton's method
    does not get there at once, it goes in load steps.

    Arguments as for `ImplicitStep`; dt only counts the time of a rollout. Weights are consistent.

    Raises:
        ConvergenceError: from a call, if there is no equilibrium near, or the body could move as a rigid one
            without any force against it, so that there are many.
    """

    def __init__(self, mesh: Mesh, forces: Mapping[str, Force], *, dt: float = 1.0, **options: Any) -> None:
        super().__init__(mesh, forces, dt=dt, mass_matrix="consistent", **options)
        for kind, names in (("dissipation", list(self.dissipation)), ("forces", self._rate_names())):
            if names:
                raise ValueError(f"an equilibrium has no velocities: leave out {kind} {', '.join(names)}.")

    def minimum(self, problem: Problem, start: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        try:
            positions = minimize_in_steps(self.newton, problem, start, self.solver)
        except ConvergenceError as error:
            self._check_held(problem, start, error)
            raise
        self._check_held(problem, positions, None)
        smallest = float(self.elements.deformation_gradient(positions).det().min())
        if smallest <= 0:
            warnings.warn(
                f"the equilibrium has cells that are inside out, the smallest J = det F is {smallest:.3g}: "
                "refine the mesh, lower the loads, or take a law that resists, such as StableNeoHookean.",
                stacklevel=2,
            )
        return positions

    def _check_held(self, problem: Problem, positions: Tensor, error: Exception | None) -> None:
        if motions := unresisted(problem, positions, self.free):
            raise ConvergenceError(
                f"nothing resists a rigid motion of the body: {', '.join(motions)}. Hold more of its "
                "vertices (three that are not in a line), or add a force with a stiffness."
            ) from error

    def _rate_names(self) -> list[str]:
        rates = self._rates()
        return [name for name, force in self.forces.items() if any(force is rate for rate in rates)]

    @property
    def inertia(self) -> float:
        return 0.0

    @property
    def rate(self) -> float:
        return 0.0

    def free_motion(self, state: State) -> tuple[Tensor, Tensor, Tensor]:
        positions = state.positions.detach()
        return positions, torch.zeros_like(positions), positions

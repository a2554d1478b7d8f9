"""The state of rest under loads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from simlayer.forces.base import Force
from simlayer.mesh import Mesh
from simlayer.state import State
from simlayer.steps.implicit import ImplicitStep


class Equilibrium(ImplicitStep):
    """The static equilibrium near a state, with the held components where that state has them.

    One call is the whole solution; its gradient is one linear solve, to every quantity and to the positions
    of what is held. The free components of the state are a guess and have no gradient. Repeated by a rollout
    it follows loads that are controls, or held components with prescribed velocities.

    Arguments as for `ImplicitStep`; dt only counts the time of a rollout.
    """

    def __init__(self, mesh: Mesh, forces: Mapping[str, Force], *, dt: float = 1.0, **options: Any) -> None:
        super().__init__(mesh, forces, dt=dt, mass_matrix="at rest", **options)
        for kind, names in (("dissipation", list(self.dissipation)), ("forces", self._rate_names())):
            if names:
                raise ValueError(f"an equilibrium has no velocities: leave out {kind} {', '.join(names)}.")

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

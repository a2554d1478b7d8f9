"""Gauss-Newton with a trust region, as an optimizer of torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils import parameters_to_vector
from torch.optim import Optimizer

from simlayer.identification.normal_equations import NormalEquations
from simlayer.identification.trust_region import trust_region_step
from simlayer.quantities.arguments import checked_integer, checked_number
from simlayer.quantities.arrays import described
from simlayer.quantities.objects import checked_function, checked_instance, checked_parameters

# Above this many unknown numbers a quasi-Newton method needs less time and memory.
MOST_UNKNOWNS = 30

# Fractions of the predicted reduction: a step is taken above the first; below the second the radius
# shrinks, above the third it grows (Nocedal and Wright 2006, algorithm 4.1).
TAKEN, POOR, GOOD = 1e-4, 0.25, 0.75

# Reductions by less than this share of the loss are within the simulation's own errors: where one is
# predicted and does not come about, the fit has converged.
ACCURACY = 1e-6


class GaussNewton(Optimizer):
    """Minimizes a sum of squares by linearizing its residuals (the Levenberg-Marquardt method).

    Each step goes to the minimum of the linearized problem within a trust radius, which grows and shrinks
    with the quality of that prediction (Moré 1978; Nocedal and Wright 2006, section 10.3). Lengths are
    those of stored values, whose ranges are unbounded: for logarithms, relative changes. `step` makes one
    accepted step, and none once converged. What it keeps is part of its `state_dict`.

    Each call of the closure has to assign `equations`, as `ParameterIdentification` does, and
    `IdentificationProblem.solve`: a loss and its gradient are not enough.

    Args:
        params: the parameters, of single or double precision; no groups of them.
        trust_radius: the greatest length of the first step.
        tolerance: converged when the next step would be shorter than this, or would reduce the loss by less
            than this share.
        precision: converged when the minimum of the linearized problem is as near as this in standard errors,
            those of residuals that are independent of each other.
        max_trials: how many steps are tried before `step` returns without one that is accepted.

    Raises:
        TypeError: if `params` does not hold parameters.
        ValueError: if a setting is out of its range, or there is no parameter, or one twice.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        *,
        trust_radius: float = 1.0,
        tolerance: float = 1e-9,
        precision: float = 0.03,
        max_trials: int = 10,
    ) -> None:
        self.trust_radius = checked_number("trust_radius", trust_radius, above=0.0)
        self.tolerance = checked_number("tolerance", tolerance, above=0.0)
        self.precision = checked_number("precision", precision, above=0.0)
        self.max_trials = checked_integer("max_trials", max_trials, least=1)
        super().__init__(checked_parameters("params", params), {})
        self._parameters: list[Tensor] = self.param_groups[0]["params"]
        self._equations: NormalEquations | None = None

    @property
    def equations(self) -> NormalEquations:
        """The normal equations at the values of the last evaluation."""
        if self._equations is None:
            raise AttributeError("GaussNewton has no equations before it has been evaluated.")
        return self._equations

    @equations.setter
    def equations(self, equations: NormalEquations) -> None:
        checked_instance("equations", equations, NormalEquations)
        size, given = len(self._values()), tuple(equations.curvature.shape)
        if given != (size, size):
            raise ValueError(f"equations must be those of {size} unknown numbers, got a curvature {given}.")
        self._equations = equations

    @property
    def converged(self) -> bool:
        """Whether no step is left to make."""
        return bool(self._state.get("converged"))

    @property
    def loss(self) -> float:
        """The loss at the last accepted step."""
        return float(self._state["loss"])

    @property
    def may_retreat(self) -> bool:
        """Whether an evaluation that fails can be answered by a shorter step."""
        return bool(self._state) and self._state["radius"] > 0.01 * self.trust_radius

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> float:  # type: ignore[override]
        """Make one step that reduces the loss, unless there is none; return the loss."""
        checked_function("closure", closure, arguments=0)
        state = self._state
        if state.get("at") != self._values().tolist():
            self._evaluate(closure)
            if not all(bool(part.isfinite().all()) for part in self.equations):
                raise ValueError(
                    "closure must assign equations that are finite to begin with, got a loss of "
                    f"{self.equations.loss:g}."
                )
            state |= self._accepted() | {"radius": self.trust_radius}
            state["converged"] = self._negligible(self._next())
        for _ in range(0 if state["converged"] else self.max_trials):
            step = self._next()
            self._assign(torch.tensor(state["at"], dtype=torch.float64) + step)
            self._evaluate(closure)
            if self._judge(step):
                break
        return self.loss

    def _evaluate(self, closure: Callable[[], Any]) -> None:
        self._equations = None
        with torch.enable_grad():
            closure()
        if self._equations is None:
            raise TypeError(
                "closure must assign the normal equations of the residuals to `equations` of this optimizer, "
                f"which {described(closure)} does not: fit by ParameterIdentification or identify, or by an "
                "optimizer that needs the loss alone, such as torch.optim.LBFGS."
            )

    @property
    def _state(self) -> dict[str, Any]:
        # Plain numbers: torch casts tensors of a state to the precision of the parameters.
        return self.state[self._parameters[0]]

    def _values(self) -> Float[Tensor, "P"]:
        return parameters_to_vector(self._parameters).double().cpu()

    def _assign(self, values: Float[Tensor, "P"]) -> None:
        parts = values.split([parameter.numel() for parameter in self._parameters])
        for parameter, part in zip(self._parameters, parts, strict=True):
            parameter.copy_(part.reshape(parameter.shape))

    def _accepted(self) -> dict[str, Any]:
        """Return the last evaluation as the place from which steps are made."""
        parts = zip(NormalEquations._fields, self.equations, strict=True)
        return {"at": self._values().tolist()} | {name: part.tolist() for name, part in parts}

    def _expansion(self) -> tuple[Tensor, Tensor]:
        gradient, curvature = (self._state[name] for name in ("gradient", "curvature"))
        return torch.tensor(gradient, dtype=torch.float64), torch.tensor(curvature, dtype=torch.float64)

    def _next(self) -> Float[Tensor, "P"]:
        """Return the step to try."""
        return self._step(self._state["radius"])

    def _step(self, radius: float) -> Float[Tensor, "P"]:
        """Return the step to the minimum of the linearized problem within a radius."""
        gradient, curvature = self._expansion()
        # Jacobians lose a third of the digits in long rollouts; their squares have twice the error.
        tolerance = max(self._epsilon ** (4 / 3), 4e-15)
        return trust_region_step(gradient, curvature, radius, rank_tolerance=tolerance)

    def _reduction(self, step: Float[Tensor, "P"]) -> float:
        """Return by how much a step reduces the linearized sum of squares."""
        gradient, curvature = self._expansion()
        return -float(gradient @ step + 0.5 * step @ curvature @ step)

    def _negligible(self, step: Float[Tensor, "P"]) -> bool:
        tolerance, loss = max(self.tolerance, 10 * self._epsilon), self._state["loss"]
        # So many standard errors away, the sum of squares is larger by their square times its mean square.
        near = self._reduction(self._step(math.inf)) <= self.precision**2 * loss / (3 * self._state["number"])
        return near or float(step.norm()) <= tolerance or self._reduction(step) <= tolerance * loss

    def _judge(self, step: Float[Tensor, "P"]) -> bool:
        """Accept or reject the last evaluation, and return whether that ends the search for a step."""
        state, length = self._state, float(step.norm())
        quality = (state["loss"] - float(self.equations.loss)) / self._reduction(step)
        # A simulation that failed has an infinite loss.
        if not quality >= POOR:
            state["radius"] = length / 4
        elif quality > GOOD and length > 0.99 * state["radius"]:
            state["radius"] *= 2
        if quality > TAKEN:
            state |= self._accepted()
        else:
            self._assign(torch.tensor(state["at"], dtype=torch.float64))
            state["converged"] = self._reduction(step) <= ACCURACY * state["loss"]
        state["converged"] = state["converged"] or self._negligible(self._next())
        return state["converged"] or quality > TAKEN

    @property
    def _epsilon(self) -> float:
        return max(torch.finfo(parameter.dtype).eps for parameter in self._parameters)

"""Gauss-Newton with a trust region, as an optimizer of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils import parameters_to_vector
from torch.optim import Optimizer

from simlayer.identification.descent import Descent, Place
from simlayer.identification.normal_equations import NormalEquations
from simlayer.quantities.arguments import checked_integer, checked_number
from simlayer.quantities.arrays import described
from simlayer.quantities.objects import checked_function, checked_instance, checked_parameters

# Above this many unknown numbers a quasi-Newton method needs less time and memory.
MOST_UNKNOWNS = 30


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
        precision: float = 0.1,
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
    def begun(self) -> bool:
        """Whether there is an accepted step, or first values, from which the next one starts."""
        return bool(self._state)

    @property
    def loss(self) -> float:
        """The loss at the last accepted step."""
        return float(self._state["loss"])

    @property
    def may_retreat(self) -> bool:
        """Whether an evaluation that fails can be answered by a shorter step."""
        return self.begun and self._state["radius"] > 0.01 * self.trust_radius

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
            self._keep(self.rules.begin(self._values(), self._on_cpu()))
        for _ in range(0 if state["converged"] else self.max_trials):
            place = self._place()
            step = self.rules.step(place)
            self._assign(place.at + step)
            self._evaluate(closure)
            place, taken = self.rules.judge(place, step, self._values(), self._on_cpu())
            self._keep(place)
            if not taken:
                self._assign(place.at)
            if taken or state["converged"]:
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
    def rules(self) -> Descent:
        """The rules of its steps."""
        epsilon = max(torch.finfo(parameter.dtype).eps for parameter in self._parameters)
        return Descent(self.trust_radius, self.tolerance, self.precision, epsilon)

    @property
    def _state(self) -> dict[str, Any]:
        # Plain numbers: torch casts tensors of a state to the precision of the parameters.
        return self.state[self._parameters[0]]

    def _keep(self, place: Place) -> None:
        parts = {**place._asdict(), **place.equations._asdict()}
        del parts["equations"]
        self._state.update({name: part.tolist() for name, part in parts.items()})

    def _place(self) -> Place:
        parts = {
            name: torch.tensor(part, dtype=None if name == "converged" else torch.float64)
            for name, part in self._state.items()
        }
        equations = NormalEquations(*(parts[name] for name in NormalEquations._fields))
        return Place(parts["at"], equations, parts["radius"], parts["converged"])

    def _on_cpu(self) -> NormalEquations:
        return NormalEquations(*(part.cpu() for part in self.equations))

    def _values(self) -> Float[Tensor, "P"]:
        return parameters_to_vector(self._parameters).double().cpu()

    def _assign(self, values: Float[Tensor, "P"]) -> None:
        parts = values.split([parameter.numel() for parameter in self._parameters])
        for parameter, part in zip(self._parameters, parts, strict=True):
            parameter.copy_(part.reshape(parameter.shape))

"""Gradients of a scene against central differences."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from simlayer.quantities.arguments import checked_integer, checked_number
from simlayer.quantities.arrays import check_plain, checked_numbers, described
from simlayer.quantities.named import NamedTensors
from simlayer.quantities.objects import checked_function, checked_instance, names_of_quantities
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State

# Relative differences that central differences reach on a rollout of ordinary conditioning.
_TOLERANCE = {torch.float64: 1e-6, torch.float32: 2e-2}
_INITIAL_STATE = ("positions", "velocities")


@dataclass(frozen=True)
class GradientCheck:
    """One checked quantity.

    Attributes:
        name: the quantity, or "positions" or "velocities" of the initial state.
        size: how many numbers it holds.
        value: the number, or the root mean square of several.
        gradient: the derivative of the loss along the checked direction, by reverse mode.
        difference: the same by the central difference that agrees best.
        step: the step of that difference.
        relative_error: their difference relative to the larger of the two.
        passed: whether that is within the tolerance, or both are zero to rounding.
    """

    name: str
    size: int
    value: float
    gradient: float
    difference: float
    step: float
    relative_error: float
    passed: bool


@dataclass(frozen=True)
class GradientReport:
    """The outcome of `check_gradients`; prints as a table."""

    checks: tuple[GradientCheck, ...]
    tolerance: float

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    def __str__(self) -> str:
        width = max(len("quantity"), *(len(check.name) for check in self.checks))
        columns = f"{'size':>7} {'value':>12} {'gradient':>14} {'difference':>14} {'relative':>9}"
        rows = [
            f"{c.name:<{width}} {c.size:>7} {c.value:>12.5g} {c.gradient:>14.7e} {c.difference:>14.7e} "
            f"{c.relative_error:>9.1e}  {'ok' if c.passed else 'WRONG'}"
            for c in self.checks
        ]
        verdict = f"{'all' if self.passed else 'NOT all'} within {self.tolerance:g}"
        head = f"{'quantity':<{width}} {columns}"
        return "\n".join([head, *rows, f"{verdict}, at the best of several step sizes each"])


def check_gradients(
    rollout: RolloutModule,
    state: State,
    loss: Callable[[State], Tensor],
    names: str | Iterable[str],
    *,
    parameters: Mapping[str, Tensor] | None = None,
    controls: Mapping[str, Tensor] | None = None,
    steps: Sequence[float] = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
    tolerance: float | None = None,
    seed: int = 0,
) -> GradientReport:
    """Compare the gradient of a loss of a rollout's final state with central differences.

    A quantity of several numbers is checked along one direction: its gradient's, plus as much of a random
    one, so that a wrong entry anywhere shows.

    Args:
        rollout: the scene. It is left as it is: a copy of it computes in double precision, because
            differences in single precision are coarse.
        state: the initial state.
        loss: maps the final state, in double precision, to a scalar.
        names: quantities of the rollout, given in `parameters`, in `controls`, or its own, by their physical
            or stored names; and "positions" and "velocities" for the initial state.
        parameters, controls: as for the rollout.
        steps: steps to try, relative to the value's root mean square (absolute where that is zero).
        tolerance: relative difference to accept; by default 1e-6.
        seed: of the random directions.

    Raises:
        KeyError: if a name is unknown, or the end of several names.
    """
    names = names_of_quantities("names", names)
    if not names:
        raise ValueError("names must hold at least one quantity to check, got none.")
    checked_function("loss", loss)
    rollout = copy.deepcopy(checked_instance("rollout", rollout, RolloutModule)).double()
    state = state.to(torch.float64) if isinstance(state, State) else state
    rollout.step.check_state(state)
    parameters, controls = _doubled(parameters or {}), _doubled(controls or {})
    tensors = _leaves(NamedTensors(rollout.step), state, names, {**parameters, **controls})

    def evaluate(values: Mapping[str, Tensor]) -> Tensor:
        positions, velocities = (values.get(name, getattr(state, name)) for name in _INITIAL_STATE)
        start = State(positions, velocities, state.history)
        timed = {name: values.get(name, control) for name, control in controls.items()}
        own = {name: v for name, v in values.items() if name not in (*timed, *_INITIAL_STATE)}
        end = rollout(start, {**parameters, **own}, timed)
        try:
            return loss(end)
        except (TypeError, NotImplementedError) as error:
            raise TypeError(
                f"loss must map the final state to a number, got {described(loss)}, which raised: {error}"
            ) from error

    return compare_gradients(evaluate, tensors, steps=steps, tolerance=tolerance, seed=seed)


def _leaves(
    named: NamedTensors, state: State, names: Sequence[str], given: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return what to differentiate by, under the names by which the rollout is given it."""
    keys = {named.find(name).name: name for name in given}
    tensors = {}
    for name in names:
        if name in _INITIAL_STATE:
            tensors[name] = getattr(state, name)
        elif key := keys.get(named.find(name).name):
            tensors[key] = given[key]
        else:
            tensors[name] = named.value(name)
    return {name: tensor.detach().clone().requires_grad_() for name, tensor in tensors.items()}


def _doubled(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.double() if isinstance(value, Tensor) else value for name, value in values.items()}


def _checked_steps(steps: Sequence[float]) -> list[float]:
    numbers = checked_numbers("steps", steps)
    if numbers.ndim != 1 or not bool((numbers > 0).all() & numbers.isfinite().all()):
        raise ValueError(f"steps must be a list of positive finite numbers, got {described(steps)}.")
    return numbers.tolist()


def compare_gradients(
    evaluate: Callable[[Mapping[str, Tensor]], Tensor],
    tensors: Mapping[str, Tensor],
    *,
    steps: Sequence[float] = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
    tolerance: float | None = None,
    seed: int = 0,
) -> GradientReport:
    """Compare the gradient of a scalar function of named tensors that require grad with central differences.

    Other arguments as for `check_gradients`.
    """
    if tolerance is not None:
        tolerance = checked_number("tolerance", tolerance, above=0.0)
    steps, seed = _checked_steps(steps), checked_integer("seed", seed, least=0, most=2**63 - 1)
    value = evaluate(tensors)
    if isinstance(value, Tensor):
        check_plain("loss", value)
    if not isinstance(value, Tensor) or value.ndim or not value.requires_grad:
        raise ValueError(
            "loss must be a tensor of one number that is computed from the final state, with shape (), got "
            f"{described(value)}."
        )
    gradients = torch.autograd.grad(value, list(tensors.values()), allow_unused=True, materialize_grads=True)
    generator = torch.Generator().manual_seed(seed)
    accepted = tolerance or _TOLERANCE[value.dtype]
    checks = []
    for (name, tensor), gradient in zip(tensors.items(), gradients, strict=True):
        direction = _direction(gradient, generator)

        def shifted(step: float, name: str = name, direction: Tensor = direction) -> float:
            with torch.no_grad():
                return float(evaluate({**tensors, name: tensors[name] + step * direction}))

        slope = float((gradient * direction).sum())
        checks.append(_compare(name, tensor.detach(), slope, shifted, steps, accepted, float(value.detach())))
    return GradientReport(tuple(checks), accepted)


def _compare(
    name: str,
    tensor: Tensor,
    slope: float,
    shifted: Callable[[float], float],
    steps: Sequence[float],
    tolerance: float,
    value: float,
) -> GradientCheck:
    size = float(tensor.square().mean().sqrt())
    best = (float("inf"), 0.0, 0.0)
    vanishes = False
    for step in (relative * (size or 1.0) for relative in steps):
        difference = (shifted(step) - shifted(-step)) / (2 * step)
        largest = max(abs(slope), abs(difference))
        rounding = 4 * torch.finfo(tensor.dtype).eps * abs(value) / step
        vanishes = vanishes or (step == steps[0] * (size or 1.0) and largest <= rounding)
        best = min(best, (abs(slope - difference) / largest if largest else 0.0, difference, step))
    error, difference, step = best
    return GradientCheck(
        name, tensor.numel(), size if tensor.numel() > 1 else float(tensor), slope, difference, step, error,
        error <= tolerance or vanishes,
    )  # fmt: skip


def _direction(gradient: Tensor, generator: torch.Generator) -> Tensor:
    """Return a unit direction with a large share of the gradient and something of every entry."""
    if gradient.numel() == 1:
        return torch.ones_like(gradient)
    random = torch.randn(gradient.shape, generator=generator, dtype=gradient.dtype).to(gradient.device)
    direction = random / random.norm() + gradient / gradient.norm().clamp(
        min=torch.finfo(gradient.dtype).tiny
    )
    return direction / direction.norm()

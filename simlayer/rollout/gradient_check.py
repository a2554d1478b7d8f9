"""Gradients of a rollout against central differences."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from simlayer.quantities.arrays import described
from simlayer.quantities.named import NamedTensors
from simlayer.quantities.objects import checked_function, checked_instance, names_of_quantities
from simlayer.rollout.central_differences import GradientReport, compare_gradients
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State

_INITIAL_STATE = ("positions", "velocities")


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

"""Finding quantities of a rollout by the gradient of a loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from simlayer.binding import quantities_by_name
from simlayer.errors import SimulationError
from simlayer.rollout import RolloutModule


@dataclass(frozen=True)
class Trial:
    """One simulation on the way: its loss, and the physical values by stored name."""

    loss: float
    values: dict[str, float]


@dataclass(frozen=True)
class Identification:
    """All trials in order, and why there are no more."""

    trials: tuple[Trial, ...]
    ended: str

    @property
    def best(self) -> Trial:
        return min(self.trials, key=lambda trial: trial.loss)

    def compared(self, reference: Mapping[str, float]) -> dict[str, dict[str, float]]:
        """What was found of each quantity, beside its reference."""
        return {
            name: {
                "initial": self.trials[0].values[name],
                "found": found,
                "reference": reference[name],
                "relative_error": abs(found / reference[name] - 1),
            }
            for name, found in self.best.values.items()
        }


class _NoMoreSimulations(Exception):  # noqa: N818 - an order to stop, not an error
    pass


def physical_values(rollout: RolloutModule, names: Iterable[str]) -> dict[str, float]:
    """The values, in SI units, of quantities that hold one number each, by stored name."""
    known = quantities_by_name(rollout.step)
    return {name: getattr(known[name][0], known[name][1].name).item() for name in names}


def assign(rollout: RolloutModule, values: Mapping[str, float]) -> None:
    """Give quantities, by stored name, these physical values."""
    known = quantities_by_name(rollout.step)
    for name, value in values.items():
        setattr(known[name][0], known[name][1].name, value)


def identify(
    rollout: RolloutModule,
    loss: Callable[[], Tensor],
    names: Iterable[str],
    *,
    limit: int,
    report: Callable[[int, Trial], None],
) -> Identification:
    """Train the named quantities, and nothing else, on a loss of the rollout; leaves it at the best trial.

    L-BFGS with a line search: for a few quantities, each of its simulations is worth several of a first-order
    method. An interrupt, or a trial that cannot be simulated, ends it and keeps what there is.

    Args:
        rollout: the scene, at the first guess.
        loss: simulates with the rollout as it is, and returns a scalar of order one.
        names: the quantities, one number each.
        limit: the most simulations to run.
        report: called after every simulation with their number so far.
    """
    names = list(names)
    parameters = rollout.train_only(names)
    optimizer = torch.optim.LBFGS(
        parameters,
        max_iter=limit,
        max_eval=limit + 1,
        tolerance_grad=1e-5,
        tolerance_change=1e-7,
        line_search_fn="strong_wolfe",
    )
    trials: list[Trial] = []
    best: list[Tensor] = []

    def evaluate() -> Tensor:
        if len(trials) == limit:  # The optimizer's own limits are not checked within a line search.
            raise _NoMoreSimulations
        optimizer.zero_grad()
        value = loss()
        value.backward()
        trials.append(Trial(value.item(), physical_values(rollout, names)))
        if trials[-1].loss == min(trial.loss for trial in trials):
            best[:] = [parameter.detach().clone() for parameter in parameters]
        report(len(trials), trials[-1])
        return value

    ended = "converged"
    try:
        optimizer.step(evaluate)
    except _NoMoreSimulations:
        ended = f"all {limit} simulations run"
    except (KeyboardInterrupt, SimulationError) as error:
        if not trials:
            raise
        ended = f"a trial failed: {error}" if isinstance(error, SimulationError) else "interrupted"
    with torch.no_grad():
        for parameter, value in zip(parameters, best, strict=True):
            parameter.copy_(value)
    return Identification(tuple(trials), ended)

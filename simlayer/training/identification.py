"""Finding quantities of a rollout by the gradient of a loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from simlayer.errors import SimulationError
from simlayer.quantities import quantities_by_name
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


def physical_values(rollout: RolloutModule, names: Iterable[str]) -> dict[str, float]:
    """The values, in SI units, of quantities that hold one number each, by stored name."""
    known = quantities_by_name(rollout.step)
    return {name: getattr(known[name][0], known[name][1].name).item() for name in names}


def assign(rollout: RolloutModule, values: dict[str, float]) -> None:
    """Give quantities, by stored name, these physical values."""
    known = quantities_by_name(rollout.step)
    for name, value in values.items():
        setattr(known[name][0], known[name][1].name, value)


def identify(
    rollout: RolloutModule,
    loss: Callable[[], Tensor],
    names: Iterable[str],
    *,
    simulations: int,
    report: Callable[[int, Trial], None] = lambda count, trial: None,
) -> Identification:
    """Train the named quantities, and nothing else, on a loss of the rollout; leaves it at the best trial.

    L-BFGS with a line search: on a few quantities, each of its simulations is worth several of a
    first-order method. An interrupt, or a trial that cannot be simulated, ends it and keeps what there is.

    Args:
        rollout: the scene, at the first guess.
        loss: simulates with the rollout as it is, and returns a scalar of order one.
        names: the quantities, one number each.
        simulations: the most to run.
        report: called after every simulation with their number so far.
    """
    names = list(names)
    optimizer = torch.optim.LBFGS(
        rollout.train_only(names),
        max_iter=simulations,
        max_eval=simulations,
        tolerance_grad=1e-5,
        tolerance_change=1e-7,
        line_search_fn="strong_wolfe",
    )
    trials: list[Trial] = []

    def evaluate() -> Tensor:
        if len(trials) == simulations:  # A line search does not count what it runs.
            raise StopIteration
        optimizer.zero_grad()
        value = loss()
        value.backward()
        trials.append(Trial(value.item(), physical_values(rollout, names)))
        report(len(trials), trials[-1])
        return value

    ended = "converged"
    try:
        optimizer.step(evaluate)  # type: ignore[arg-type]  # wants a float, and takes a tensor
    except StopIteration:
        ended = f"all {simulations} simulations run"
    except KeyboardInterrupt:
        ended = "interrupted"
    except SimulationError as error:
        ended = f"a trial failed: {error}"
    if trials:
        assign(rollout, min(trials, key=lambda trial: trial.loss).values)
    return Identification(tuple(trials), ended)

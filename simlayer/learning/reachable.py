"""Goals that a body can reach: where its points come to by random controls."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.learning.control_groups import ControlGroups
from simlayer.quantities.arguments import checked_integer
from simlayer.quantities.objects import checked_function, checked_instance
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State


@torch.no_grad()
def reachable_points(
    rollout: RolloutModule,
    state: State,
    controls: ControlGroups | str | Iterable[str],
    observe: Callable[[Tensor], Tensor],
    *,
    count: int,
    generator: torch.Generator | None = None,
    batch_size: int = 64,
) -> Float[Tensor, "S ..."]:
    """Return what is observed at the end of rollouts with constant controls, drawn at random.

        tips = reachable_points(rollout, state, names, lambda x: x[:, TIP].mean(1), count=256)      # (256, 3)

    Args:
        rollout: without a policy.
        state: the initial state, `(N, 3)` each.
        controls: names of quantities with a range of finite ends, such as activations, or groups of their
            values; drawn evenly between these ends.
        observe: maps final positions `(B, N, 3)` to a tensor `(B, ...)`.
        count: how many samples.
        generator: of random numbers, on the CPU.
        batch_size: how many are simulated at once.

    Raises:
        KeyError: if a name is unknown, or the end of several names.
        ValueError: if a range has an end that is not finite, or the rollout has a policy.
    """
    checked_instance("rollout", rollout, RolloutModule)
    if rollout.policy is not None:
        raise ValueError("rollout must be without a policy, which would set what is drawn at random.")
    rollout.step.check_state(state)
    checked_function("observe", observe, arguments=1)
    count = checked_integer("count", count, least=1)
    batch_size = checked_integer("batch_size", batch_size, least=1)
    groups = controls if isinstance(controls, ControlGroups) else ControlGroups(rollout.step, controls)
    low, high = groups.ranges().to(state.positions)
    found = []
    for first in range(0, count, batch_size):
        # Always as many, so that a compiled rollout is compiled once.
        share = torch.rand(batch_size, groups.size, generator=generator).to(low)
        values = groups.expand(low + (high - low) * share, physical=True)
        found.append(observe(rollout(state, values).positions)[: count - first])
    return torch.cat(found)

"""How a gradient grows or fades on its way back through a rollout."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.quantities.arguments import checked_integer, checked_number
from simlayer.quantities.arrays import described
from simlayer.quantities.objects import checked_function, checked_instance
from simlayer.rollout.closed_loop import split_memory
from simlayer.rollout.inputs import Named
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State


@dataclass(frozen=True)
class GradientNorms:
    """The derivatives of a loss with respect to the state at several times of a rollout.

    What happens before a time changes the loss through the state at that time only, so that a norm that is
    much larger or smaller than those at the end tells how little a gradient says about what came before.

    Attributes:
        times: of the states, increasing [s].
        positions: the norm of the derivative with respect to all positions, for each time and sample [1/m].
        velocities: that with respect to all velocities [s/m].
    """

    times: Float[Tensor, "F"]
    positions: Float[Tensor, "F *batch"]
    velocities: Float[Tensor, "F *batch"]

    def growth(self) -> Float[Tensor, "*batch"]:
        """Return the rate at which the norms for positions grow backward in time [1/s].

        It is negative if they fade. By a straight line through their logarithms; NaN where fewer than two
        are positive.
        """
        norms = self.positions.double()
        known = ((norms > 0) & norms.isfinite()).double()
        back = (self.times[-1] - self.times).double().view(-1, *[1] * (norms.ndim - 1))
        logs = torch.where(known > 0, norms.log(), 0.0)
        count = known.sum(0)
        mean, level = (known * back).sum(0) / count, (known * logs).sum(0) / count
        spread = (known * (back - mean).square()).sum(0)
        return ((known * (back - mean) * (logs - level)).sum(0) / spread).to(self.positions)

    def largest_growth(self) -> float:
        """Return the growth of the sample where it is largest in size, fading or growing [1/s].

        NaN where it is unknown of all samples.
        """
        growth = self.growth().flatten()
        return float(growth[growth.abs().nan_to_num(-1).argmax()])

    def horizon(self, factor: float = 1e3) -> float:
        """Return how long before the end the norms for positions stay within a factor of the last one [s].

        Of all samples the shortest. A loss that sees states before the end makes them larger the earlier
        they are, without harm.

        Args:
            factor: by which a norm may be larger or smaller.
        """
        factor = checked_number("factor", factor, above=1.0)
        norms = self.positions.reshape(len(self.times), -1)
        ratio = norms / norms[-1]
        inside = ((ratio <= factor) & (ratio >= 1 / factor)).all(1).flip(0)
        steps = int(inside.long().cumprod(0).sum())
        return float(self.times[-1] - self.times[-steps]) if steps else 0.0

    def __str__(self) -> str:
        rate, whole = self.largest_growth(), float(self.times[-1] - self.times[0])
        how = "grows" if rate > 0 else "fades"
        factor = math.exp(min(abs(rate), 700.0))
        return (
            f"Gradients through {whole:g} s: their norm {how} by a factor of {factor:.3g} "
            f"per second backward, and is within 1000 times that at the end for {self.horizon():.3g} s."
        )


def adjoint_norms(
    rollout: RolloutModule,
    state: State,
    loss: Callable[[State], Tensor],
    parameters: Named | None = None,
    controls: Named | None = None,
    *,
    policy_inputs: Sequence[Tensor] = (),
    every: int = 1,
) -> GradientNorms:
    """Return the norms of the derivatives of a loss with respect to the states on the way.

        print(adjoint_norms(rollout, state, lambda frames: frames.positions[-1].square().sum()))

    Args:
        rollout: the simulation. The norms are those of the whole gradient, whatever its `truncate`.
        state, parameters, controls, policy_inputs: as for the rollout.
        loss: maps the frames, as `RolloutModule.trajectory` returns them, to a number.
        every: the steps from one frame to the next, a multiple of the interval of a policy.

    Raises:
        ValueError: if the loss does not depend on the frames, or `every` does not divide the steps.
        TypeError: if the loss is no number.
    """
    checked_instance("rollout", rollout, RolloutModule)
    checked_function("loss", loss)
    rollout.step.check_state(split_memory(rollout.step, rollout.policy, state)[0])
    every = checked_integer("every", every, least=1, most=rollout.num_steps)
    if rollout.num_steps % every:
        raise ValueError(f"every must divide the {rollout.num_steps} steps of the rollout, got {every}.")
    window = copy.copy(rollout)
    window.num_steps, window.truncate = every, None
    with torch.enable_grad():
        positions, velocities = (part.detach().requires_grad_() for part in state[:2])
        frames = [State(positions, velocities, state.history)]
        for first in range(0, rollout.num_steps, every):
            timed = {name: path[first : first + every] for name, path in (controls or {}).items()}
            frames.append(window(frames[-1], parameters, timed, policy_inputs=policy_inputs))
        states = [part for frame in frames for part in frame[:2]]
        value = loss(State(_stacked(states[::2]), _stacked(states[1::2])))
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise TypeError(f"loss must map the frames to a number, got {described(value)}.")
        if not value.requires_grad:
            raise ValueError("loss must depend on the frames that it is called with, and does not.")
        found = torch.autograd.grad(value.sum(), states, allow_unused=True)
    gradients = [torch.zeros_like(s) if g is None else g for s, g in zip(states, found, strict=True)]
    norms = [gradient.square().sum((-1, -2)).sqrt() for gradient in gradients]
    times = torch.arange(len(frames), dtype=torch.float64) * every * rollout.step.dt
    return GradientNorms(times.to(norms[0]), _stacked(norms[::2]), _stacked(norms[1::2]))


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Return tensors in one, of which those of the start may have no batch yet."""
    return torch.stack(torch.broadcast_tensors(*tensors))

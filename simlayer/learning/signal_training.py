"""The training of periodic signals by the gradient of an objective through the rollout."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from simlayer.errors import ObservationError
from simlayer.learning.control_groups import ControlGroups
from simlayer.learning.rollout_training import MakeOptimizer, MakeScheduler, RolloutTraining
from simlayer.quantities.arguments import checked_integer, checked_number
from simlayer.quantities.arrays import described
from simlayer.quantities.objects import checked_instance
from simlayer.rollout.interpolation import interpolated_controls
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State


class SignalTraining(RolloutTraining):
    """Trains several periodic signals of controls at once, such as gaits, each by its own gradient.

    A signal is given by stored values at knots, evenly spaced in its period, with lines between them. In each
    training step every body lives through one period with its signal, from where the last one ended; what a
    batch holds is not looked at. In validation all start anew, for `periods` periods. It logs the mean of the
    objective and that of the best signal, `train_objective` and `objective`, and over `scale` the loss,
    `train_loss` and `loss`.

        training = SignalTraining(rollout, start, ControlGroups(step, names), Travel(), knots=6)

    Args:
        rollout: one period, without a policy.
        state: the initial state of every body, `(N, 3)` each.
        controls: what is set, which starts about the values that the step has.
        objective: maps frames `(F, B, N, 3)` to a number per body, `(B,)`: the less the better. See `Travel`.
        knots: how many in a period.
        candidates: how many signals, B.
        spread: the standard deviation of the stored values of the first signals.
        periods: in validation.
        scale: of the objective, in its unit.
        max_norm: gradients of a signal that are longer are shortened to this; contact makes some too long.
        optimizer: makes an optimizer of parameters; by default Adam with a learning rate of 0.3.
        scheduler: makes a scheduler of the optimizer, which makes a step at the end of every epoch.
        seed: of the first signals.

    Raises:
        ValueError: if the rollout has a policy, or a number is out of its range.
    """

    now_positions: Tensor
    now_velocities: Tensor

    def __init__(
        self,
        rollout: RolloutModule,
        state: State,
        controls: ControlGroups,
        objective: nn.Module,
        *,
        knots: int,
        candidates: int = 8,
        spread: float = 1.0,
        periods: int = 4,
        scale: float = 1.0,
        max_norm: float = 1.0,
        optimizer: MakeOptimizer | None = None,
        scheduler: MakeScheduler | None = None,
        seed: int = 0,
    ) -> None:
        optimizer = partial(Adam, lr=0.3) if optimizer is None else optimizer
        super().__init__(rollout, state, scale=scale, optimizer=optimizer, scheduler=scheduler)
        if rollout.policy is not None:
            raise ValueError("rollout must be without a policy, which would set the controls.")
        self.controls = checked_instance(
            "controls", controls, ControlGroups, example='ControlGroups(step, ["activation"])'
        )
        self.objective = checked_instance("objective", objective, nn.Module, example="Travel()")
        self.periods = checked_integer("periods", periods, least=1)
        self.max_norm = checked_number("max_norm", max_norm, above=0.0)
        rollout.train_only()
        count = checked_integer("candidates", candidates, least=1)
        shape = (checked_integer("knots", knots, least=2), count, controls.size)
        generator = torch.Generator().manual_seed(checked_integer("seed", seed, least=0))
        noise = torch.randn(shape, generator=generator, dtype=torch.float64)
        begin = controls.start()
        self.knots = nn.Parameter(begin + noise.to(begin) * checked_number("spread", spread, least=0.0))
        # Where the last period of training ended, which is part of a checkpoint.
        start = self.start()
        self.register_buffer("now_positions", start.positions.clone())
        self.register_buffer("now_velocities", start.velocities.clone())

    def start(self) -> State:
        """Return the initial states of all bodies, `(B, N, 3)` each."""
        count = self.knots.shape[1]
        return State(self.positions.expand(count, -1, -1), self.velocities.expand(count, -1, -1))

    def signal(self) -> dict[str, Tensor]:
        """Return the stored values of each quantity at every step of a period, `(T, B, n)`, by name."""
        around = torch.cat([self.knots, self.knots[:1]])  # ends where it began
        return self.controls.expand(interpolated_controls(around, self.rollout.num_steps + 1)[:-1])

    @torch.no_grad()
    def motion(self, periods: int) -> State:
        """Return the states at the start and after each period, `(periods + 1, B, N, 3)` each."""
        states, signal = [self.start()], self.signal()
        for _ in range(checked_integer("periods", periods, least=1)):
            states.append(self.rollout(states[-1], controls=signal))
        return State(torch.stack([s.positions for s in states]), torch.stack([s.velocities for s in states]))

    def objectives(self, motion: State) -> Float[Tensor, "B"]:
        """Return the objective of each body."""
        values = self.objective(motion)
        if not isinstance(values, Tensor) or values.shape != motion.positions.shape[1:2]:
            raise ObservationError(
                f"objective ({type(self.objective).__name__}) must return a number per body, "
                f"({motion.positions.shape[1]},), got {described(values)}."
            )
        return values

    def training_step(self, batch: Any, index: int) -> Tensor:
        start = State(self.now_positions, self.now_velocities)
        end = self.rollout(start, controls=self.signal())
        positions = torch.stack([start.positions, end.positions])
        values = self.objectives(State(positions, torch.stack([start.velocities, end.velocities])))
        self.now_positions.copy_(end.positions.detach())
        self.now_velocities.copy_(end.velocities.detach())
        self._logged("train_", values.mean())
        return values.sum() / self.scale

    def validation_step(self, batch: Any, index: int) -> None:
        self._logged("", self.objectives(self.motion(self.periods)).min())

    def _logged(self, stage: str, objective: Tensor) -> None:
        value = objective.detach()
        self.log_means({f"{stage}loss": value / self.scale, f"{stage}objective": value}, 1)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Shorten the gradient of each signal by itself: they have nothing to do with each other."""
        if self.knots.grad is not None:
            self.knots.grad = self.knots.grad.renorm(2, 1, self.max_norm)

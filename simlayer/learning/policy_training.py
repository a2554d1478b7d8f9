"""The training of a policy by the gradient of an objective through the rollout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Adam

from simlayer.errors import ObservationError
from simlayer.learning.rollout_training import MakeOptimizer, MakeScheduler, RolloutTraining
from simlayer.quantities.arguments import checked_integer
from simlayer.quantities.arrays import described
from simlayer.quantities.objects import checked_instance, names_of_quantities
from simlayer.rollout.adjoints import GradientNorms, adjoint_norms
from simlayer.rollout.policy import interval_of
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State

# In a motion, about, unless `every` is given.
FRAMES = 50


class PolicyTraining(RolloutTraining):
    """Trains the policy of a rollout, and quantities of its step, by the gradient of an objective.

        training = PolicyTraining(rollout, State.at_rest(mesh.vertices), DistanceToGoal(tip), scale=0.1)
        lightning.Trainer(max_epochs=50).fit(training, DataLoader(TensorDataset(goals), 16))

    A batch is the policy inputs of B samples, tensors `(B, ...)`. It logs the mean of the objective,
    `train_objective` and in validation `objective`, and that over `scale`, `train_loss` and `loss`.

    Args:
        rollout: with a policy.
        state: the initial state of every sample, `(N, 3)` each.
        objective: maps frames `(F, B, N, 3)`, and the policy inputs, to a number per sample, `(B,)`: the less
            the better. See `DistanceToGoal`.
        quantities: names of quantities of the step that are trained with the policy, such as a stiffness.
        design: returns values of quantities of the step by name, the same for every sample, and is trained
            with the policy, such as a `ThicknessProfile`. Samples start in the rest shape that it gives.
        scale: of the objective, in its unit.
        every: the steps from one frame to the next; by default such that there are about 50.
        optimizer: makes an optimizer of parameters; by default Adam with a learning rate of 3e-3.
        scheduler: makes a scheduler of the optimizer, which makes a step at the end of every epoch.

    Raises:
        KeyError: if a quantity has an unknown name.
        ValueError: if the rollout has no policy, or `every` does not fit.
    """

    def __init__(
        self,
        rollout: RolloutModule,
        state: State,
        objective: nn.Module,
        *,
        quantities: str | Iterable[str] = (),
        design: nn.Module | None = None,
        scale: float = 1.0,
        every: int | None = None,
        optimizer: MakeOptimizer | None = None,
        scheduler: MakeScheduler | None = None,
    ) -> None:
        optimizer = partial(Adam, lr=3e-3) if optimizer is None else optimizer
        super().__init__(rollout, state, scale=scale, optimizer=optimizer, scheduler=scheduler)
        if rollout.policy is None:
            raise ValueError(
                "rollout must have a policy to train: RolloutModule(step, num_steps, policy=...)."
            )
        self.objective = checked_instance("objective", objective, nn.Module, example="DistanceToGoal(tip)")
        every = -(-rollout.num_steps // FRAMES) if every is None else every
        self.every = checked_integer("every", every, least=1, most=rollout.num_steps)
        rollout.train_only(*names_of_quantities("quantities", quantities))
        if design is not None:
            checked_instance("design", design, nn.Module, example='ThicknessProfile(mesh, "x")')
        self.design = design

    def forward(self, *inputs: Tensor) -> State:
        """Return the frames of the rollout for these policy inputs, `(F, B, N, 3)` each."""
        shapes = {tuple(each.shape[:1]) for each in inputs}
        if len(shapes) != 1 or () in shapes:
            raise ObservationError(
                "a batch must be the policy inputs of its samples, at least one tensor (B, ...), got "
                f"{described(inputs)}."
            )
        values = self._designed()
        start = self._start(len(inputs[0]), values)
        return self.rollout.trajectory(start, values, policy_inputs=inputs, every=self.every)

    def objectives(self, *inputs: Tensor) -> Float[Tensor, "B"]:
        """Return the objective of each sample with these policy inputs."""
        values = self.objective(self(*inputs), *inputs)
        if not isinstance(values, Tensor) or values.shape != inputs[0].shape[:1]:
            raise ObservationError(
                f"objective ({type(self.objective).__name__}) must return a number per sample, "
                f"({len(inputs[0])},), got {described(values)}."
            )
        return values

    def gradient_norms(self, batch: Any) -> GradientNorms:
        """Return how much the loss of a batch depends on the states on the way, for `GradientHealth`."""
        inputs = (batch,) if isinstance(batch, Tensor) else tuple(batch)
        steps, policy = self.rollout.num_steps, self.rollout.policy
        interval = 1 if policy is None else interval_of(policy)
        # A multiple of the policy's interval, about as long as that between the frames of the loss.
        fit = [k for k in range(interval, steps, interval) if steps % k == 0] or [steps]
        every = min(fit, key=lambda k: abs(k - self.every))
        values = self._designed()
        return adjoint_norms(
            self.rollout,
            self._start(len(inputs[0]), values),
            lambda motion: self.objective(motion, *inputs).mean() / self.scale,
            values,
            policy_inputs=inputs,
            every=every,
        )

    def _designed(self) -> dict[str, Tensor]:
        """Return the values that the design gives to quantities."""
        return {} if self.design is None else dict(self.design())

    def _start(self, count: int, values: Mapping[str, Tensor]) -> State:
        """Return the initial states of so many samples, with the rest shape of the design."""
        positions = self.positions
        if "rest_positions" in values:
            positions = positions + (
                values["rest_positions"] - self.rollout.step.elements.mesh.vertices.to(positions)
            )
        return State(positions.expand(count, -1, -1), self.velocities.expand(count, -1, -1))

    def training_step(self, batch: Any, index: int) -> Tensor:
        return self._logged(batch, "train_")

    def validation_step(self, batch: Any, index: int) -> None:
        self._logged(batch, "")

    def test_step(self, batch: Any, index: int) -> None:
        self._logged(batch, "test_")

    def _logged(self, batch: Any, stage: str) -> Tensor:
        """Return the loss of a batch, and log it."""
        inputs = (batch,) if isinstance(batch, Tensor) else tuple(batch)
        objective = self.objectives(*inputs).mean()
        values = {f"{stage}loss": objective / self.scale, f"{stage}objective": objective}
        self.log_means(values, len(inputs[0]))
        return values[f"{stage}loss"]

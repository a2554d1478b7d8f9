"""The training of what a step contains by observed motions, such as the weights of a material."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from simlayer.errors import ObservationError, hint
from simlayer.learning.rollout_training import MakeOptimizer, MakeScheduler, RolloutTraining
from simlayer.quantities.arguments import checked_integer
from simlayer.quantities.arrays import described
from simlayer.quantities.objects import checked_names
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State


class MotionTraining(RolloutTraining):
    """Trains modules of a step such that the body moves as it was observed to.

        training = MotionTraining(rollout, start, ["forces.elastic.material"], inputs=["gravity"], every=4)
        lightning.Trainer(max_epochs=20).fit(training, DataLoader(TensorDataset(loads, motions), len(loads)))

    A batch is, of B samples, the values of the inputs, `(B, ...)` each, and the displacements of all vertices
    in every frame after the first, `(B, F, N, 3)`. It logs the mean square error of displacements over the
    square of `scale`, `train_loss` and in validation `loss`, and the norm of all errors relative to that of
    all displacements, `train_error` and `error`.

    Args:
        rollout: the simulation.
        state: the initial state of every sample, `(N, 3)` each.
        modules: paths of modules of the step, all parameters of which are trained, quantities and weights.
        inputs: names of quantities that differ between samples, such as `gravity`.
        every: the steps from one frame to the next.
        scale: the unit of displacements [m].
        optimizer: makes an optimizer of parameters; by default L-BFGS, which needs all samples in one batch.
        scheduler: makes a scheduler of the optimizer, which makes a step at the end of every epoch.

    Raises:
        KeyError: if there is no such module.
        ValueError: if the modules have no parameters.
    """

    def __init__(
        self,
        rollout: RolloutModule,
        state: State,
        modules: str | Sequence[str],
        *,
        inputs: str | Sequence[str] = (),
        every: int = 1,
        scale: float = 1.0,
        optimizer: MakeOptimizer | None = None,
        scheduler: MakeScheduler | None = None,
    ) -> None:
        optimizer = _lbfgs if optimizer is None else optimizer
        super().__init__(rollout, state, scale=scale, optimizer=optimizer, scheduler=scheduler)
        self.every = checked_integer("every", every, least=1, most=rollout.num_steps)
        self.inputs = checked_names("inputs", [inputs] if isinstance(inputs, str) else inputs)
        rollout.train_only()
        for name in checked_names("modules", [modules] if isinstance(modules, str) else modules):
            _module(rollout.step, name).requires_grad_()
        if not any(parameter.requires_grad for parameter in rollout.parameters()):
            raise ValueError(f"modules must have parameters to train, got {described(modules)}.")

    def forward(self, *inputs: Tensor) -> Float[Tensor, "B F N 3"]:
        """Return the displacements in every frame after the first."""
        start = State(self.positions, self.velocities)
        frames = self.rollout.trajectory(start, dict(zip(self.inputs, inputs, strict=True)), every=self.every)
        return (frames.positions[1:] - self.positions).movedim(0, -3)

    def training_step(self, batch: Sequence[Tensor], index: int) -> Tensor:
        return self._logged(batch, "train_")

    def validation_step(self, batch: Sequence[Tensor], index: int) -> None:
        self._logged(batch, "")

    def test_step(self, batch: Sequence[Tensor], index: int) -> None:
        self._logged(batch, "test_")

    def _logged(self, batch: Sequence[Tensor], stage: str) -> Tensor:
        """Return the loss of a batch, and log it."""
        *inputs, observed = batch
        if len(inputs) != len(self.inputs):
            raise ObservationError(
                f"a batch must be {len(self.inputs)} inputs {list(self.inputs)} and the displacements, got "
                f"{len(batch)} tensors."
            )
        found = self(*inputs)
        if found.shape != observed.shape:
            raise ObservationError(
                f"displacements must be of shape {tuple(found.shape)}, a frame every {self.every} steps, "
                f"got {described(observed)}."
            )
        error = found - observed
        loss = error.square().sum(-1).mean() / self.scale**2
        values = {f"{stage}loss": loss, f"{stage}error": error.norm() / observed.norm()}
        self.log_means(values, len(observed))
        return loss


def _lbfgs(parameters: Iterator[nn.Parameter]) -> Optimizer:
    return torch.optim.LBFGS(parameters, max_iter=4, history_size=30, line_search_fn="strong_wolfe")


def _module(root: nn.Module, name: str) -> nn.Module:
    modules = {path: module for path, module in root.named_modules() if path}
    if name not in modules:
        raise KeyError(f"modules must be of the step, got {name!r}; {hint(name, modules)}")
    return modules[name]

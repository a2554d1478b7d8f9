"""The training of what a step contains by observed motions, such as the weights of a material."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from simlayer.errors import ObservationError, hint
from simlayer.identification.epoch_record import is_recorded
from simlayer.quantities.arguments import checked_integer, checked_number
from simlayer.quantities.arrays import described
from simlayer.quantities.objects import checked_function, checked_instance, checked_names
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State


class MotionTraining(LightningModule):
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

    positions: Tensor
    velocities: Tensor

    def __init__(
        self,
        rollout: RolloutModule,
        state: State,
        modules: str | Sequence[str],
        *,
        inputs: str | Sequence[str] = (),
        every: int = 1,
        scale: float = 1.0,
        optimizer: Callable[[Iterator[nn.Parameter]], Optimizer] | None = None,
        scheduler: Callable[[Optimizer], Any] | None = None,
    ) -> None:
        super().__init__()
        checked_instance("rollout", rollout, RolloutModule)
        rollout.step.check_state(state)
        if state.positions.ndim != 2:
            raise ObservationError(
                "state must be that of every sample, (N, 3), without a batch, got positions "
                f"{tuple(state.positions.shape)}."
            )
        self.rollout, self.scale = rollout, checked_number("scale", scale, above=0.0, unit="m")
        self.every = checked_integer("every", every, least=1, most=rollout.num_steps)
        self.inputs = checked_names("inputs", [inputs] if isinstance(inputs, str) else inputs)
        self.register_buffer("positions", state.positions.detach().clone(), persistent=False)
        self.register_buffer("velocities", state.velocities.detach().clone(), persistent=False)
        rollout.train_only()
        for name in checked_names("modules", [modules] if isinstance(modules, str) else modules):
            _module(rollout.step, name).requires_grad_()
        if not any(parameter.requires_grad for parameter in rollout.parameters()):
            raise ValueError(f"modules must have parameters to train, got {described(modules)}.")
        self._optimizer = None if optimizer is None else checked_function("optimizer", optimizer)
        self._scheduler = None if scheduler is None else checked_function("scheduler", scheduler)

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
        logger = False if is_recorded(self.trainer) else None
        self.log_dict(
            values, batch_size=len(observed), on_step=False, on_epoch=True, sync_dist=True, logger=logger
        )
        return loss

    def configure_optimizers(self) -> Any:
        trained = (parameter for parameter in self.rollout.parameters() if parameter.requires_grad)
        optimizer = (self._optimizer or _lbfgs)(trained)
        if self._scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self._scheduler(optimizer)}


def _lbfgs(parameters: Iterator[nn.Parameter]) -> Optimizer:
    return torch.optim.LBFGS(parameters, max_iter=4, history_size=30, line_search_fn="strong_wolfe")


def _module(root: nn.Module, name: str) -> nn.Module:
    modules = dict(root.named_modules())
    if not name or name not in modules:
        raise KeyError(f"the step has no module {name!r}; {hint(name, modules)}")
    return modules[name]

"""What trainings through a rollout share: their initial state, what they log, and their optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from simlayer.errors import ObservationError
from simlayer.identification.epoch_record import is_recorded
from simlayer.quantities.arguments import checked_number
from simlayer.quantities.objects import checked_function, checked_instance
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State

MakeOptimizer = Callable[[Iterator[nn.Parameter]], Optimizer]
MakeScheduler = Callable[[Optimizer], Any]


class RolloutTraining(LightningModule):
    """Trains something by the gradient of a loss through a rollout.

    Args:
        rollout: the simulation.
        state: the initial state of every sample, `(N, 3)` each.
        scale: of what the loss is made of, in its unit.
        optimizer: makes an optimizer of what is trained.
        scheduler: makes a scheduler of the optimizer, which makes a step at the end of every epoch.

    Raises:
        ObservationError: if there are several initial states.
    """

    positions: Tensor
    velocities: Tensor

    def __init__(
        self,
        rollout: RolloutModule,
        state: State,
        *,
        scale: float,
        optimizer: MakeOptimizer,
        scheduler: MakeScheduler | None,
    ) -> None:
        super().__init__()
        self.rollout = checked_instance("rollout", rollout, RolloutModule)
        rollout.step.check_state(state)
        if state.positions.ndim != 2:
            raise ObservationError(
                "state must be that of every sample, (N, 3), without a batch, got positions "
                f"{tuple(state.positions.shape)}."
            )
        self.register_buffer("positions", state.positions.detach().clone(), persistent=False)
        self.register_buffer("velocities", state.velocities.detach().clone(), persistent=False)
        self.scale = checked_number("scale", scale, above=0.0)
        self._optimizer = checked_function("optimizer", optimizer)
        self._scheduler = None if scheduler is None else checked_function("scheduler", scheduler)

    def log_means(self, values: Mapping[str, Tensor], samples: int) -> None:
        """Log the means of values over an epoch, given those of a batch of so many samples."""
        logger = False if is_recorded(self.trainer) else None
        self.log_dict(values, batch_size=samples, on_step=False, on_epoch=True, sync_dist=True, logger=logger)

    def configure_optimizers(self) -> Any:
        trained = (parameter for parameter in self.parameters() if parameter.requires_grad)
        optimizer = self._optimizer(trained)
        if self._scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self._scheduler(optimizer)}

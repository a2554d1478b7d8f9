"""The job that a configuration describes."""

from __future__ import annotations

from collections.abc import Iterable

from hydra.utils import get_class
from omegaconf import DictConfig

from simlayer.app.config_tree import build
from simlayer.app.fit_job import FitJob
from simlayer.app.job import Job
from simlayer.errors import ConfigError


def build_job(config: DictConfig, *, given: Iterable[str]) -> Job:
    """Return the job of a configuration: that of its `task`, or a fit if it has none.

    Raises:
        ConfigError: if the user has set keys that the task does not read.
    """
    if not config.task:
        return FitJob(config)
    unread: tuple[str, ...] = getattr(get_class(config.task["_target_"]), "unread", ())
    for key in given:
        if any(f"{key}.".startswith(f"{other}.") for other in unread):
            raise ConfigError(
                f"{key} has no effect with this task; leave it out, or set task=identification."
            )
    job: Job = build(config.task)(config)
    return job

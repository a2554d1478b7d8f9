"""The job that a configuration describes."""

from __future__ import annotations

from omegaconf import DictConfig

from simlayer.app.config_tree import build
from simlayer.app.fit_job import FitJob
from simlayer.app.job import Job


def build_job(config: DictConfig) -> Job:
    """Return the job of a configuration: that of its `task`, or a fit if it has none."""
    job: Job = build(config.task)(config) if config.task else FitJob(config)
    return job

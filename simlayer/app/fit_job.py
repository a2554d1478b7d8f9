"""The job of a fit: quantities found from observations."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from simlayer.app.announcement import describe_fit
from simlayer.app.coarse_start import start_from_coarse
from simlayer.app.interruption import Interruption
from simlayer.app.job import Job
from simlayer.app.loggers import FitReport
from simlayer.app.outputs import write_outputs
from simlayer.app.problem import build_problem
from simlayer.app.progress import FitProgress
from simlayer.app.report import format_table
from simlayer.app.results import collect_results
from simlayer.identification.gradient_check import check_fit_gradients
from simlayer.identification.history import History
from simlayer.identification.scenes import scene_loader


class FitJob(Job):
    """Finds quantities of a scene from observations of it, as a configuration describes."""

    def __init__(self, config: DictConfig) -> None:
        self._config, self._problem = config, build_problem(config)
        self._fit, self._history = self._problem.model, History(self._problem.reference)
        self._initial = self._fit.values()
        self.model, self.history = self._fit, self._history
        self.report = FitReport(self._problem)
        self.progress = FitProgress(self.history)

    def loaders(self) -> tuple[Any, Any]:
        loader = scene_loader(self._problem.scenes)
        return loader, loader

    def description(self, *, given: Collection[str]) -> list[tuple[str, str]]:
        return describe_fit(self._config, self._problem, given=given)

    def check_gradients(self) -> None:
        check_fit_gradients(self._fit, self._problem.scenes)

    def begin(self, interruption: Interruption, *, loud: bool) -> None:
        if self._problem.coarser:
            start_from_coarse(self._problem, interruption, loud=loud)

    def results(self, *, ended: str, seconds: float) -> dict[str, Any]:
        return collect_results(self._fit, self._history, self._initial, ended=ended, seconds=seconds)

    def write(self, folder: Path, results: Mapping[str, Any]) -> dict[str, Any]:
        return write_outputs(folder, self._problem, self._history, self._initial, dict(results))

    def table(self, results: Mapping[str, Any]) -> str:
        return format_table(results)

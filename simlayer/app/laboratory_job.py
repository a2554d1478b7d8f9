"""The job of finding quantities of materials from tests on meshed specimens."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from omegaconf import DictConfig
from torch import Tensor

from simlayer.app.config_tree import build, flatten
from simlayer.app.field_pictures import draw_fields
from simlayer.app.job import Job
from simlayer.app.laboratory_config import configured_tests
from simlayer.app.laboratory_outputs import describe_test, format_tests, write_test
from simlayer.app.laboratory_twin import Twin
from simlayer.app.report import format_table
from simlayer.app.results import add_uncertainty, parameter_rows, write_results
from simlayer.errors import ConfigError
from simlayer.identification.unknowns import FEW, format_unknown, select_unknowns
from simlayer.laboratory.identify_tests import identify_tests
from simlayer.laboratory.joint_problem import shared_quantities
from simlayer.materials.base import Material


class LaboratoryJob(Job):
    """Fits quantities of materials to tests on specimens, several at once.

    Args:
        config: the composed configuration; its `material` is that of all tests, at the first guess.
        tests: what is said of each test by its name, see configs/task/laboratory.yaml; a test without a
            `path` is simulated.
        common: the same for all tests.
        unknowns: names of quantities.
        max_steps: of the fit.
        twin: the arguments of `Twin`, for simulated tests.
    """

    trained: ClassVar[bool] = False
    unread: ClassVar[tuple[str, ...]] = (
        *("initial", "duration", "observation", "loss", "trainable", "takes", "holdout", "coarse", "rollout"),
        *("optimizer", "scheduler", "data.twin", "data.noise", "data.missing", "data.truth"),
        "check_gradients",
    )

    def __init__(
        self,
        config: DictConfig,
        *,
        tests: Mapping[str, Mapping[str, Any]],
        common: Mapping[str, Any],
        unknowns: Sequence[str],
        max_steps: int,
        twin: Mapping[str, Any],
    ) -> None:
        entries = configured_tests(config, tests, common)
        if not unknowns:
            raise ConfigError("task.unknowns must name at least one quantity, such as [youngs_modulus].")
        self.names, self.max_steps = list(unknowns), max_steps
        measured = [entry for entry in entries if "path" in entry.given]
        if measured and len(measured) < len(entries):
            other = next(entry for entry in entries if entry not in measured)
            raise ConfigError(f"{other.key}.path must be given, as that of {measured[0].key}: all or none.")
        self.twin = None if measured else Twin(entries, seed=config.seed, **twin)
        data = [entry.read() for entry in entries] if self.twin is None else self.twin.data
        material: Material = build(config.material)
        self.tests = [e.build_test(e.build_step(material), d) for e, d in zip(entries, data, strict=True)]
        self.kinds = {entry.name: entry.kind for entry in entries}
        candidates = shared_quantities(self.tests)
        for name, over in flatten(config.fields).items():
            select_unknowns(candidates, [name])[0].expand(over)
        self.unknowns = select_unknowns(candidates, self.names)
        self.initial = {unknown.name: unknown.value.clone() for unknown in self.unknowns}
        mesh = self.tests[0].step.elements.mesh
        self.references = {} if self.twin is None else self.twin.references(candidates, mesh)
        if self.twin and (hidden := [u.name for u in self.unknowns if u.name not in self.references]):
            raise ConfigError(f"task.twin.truth has no value for {hidden[0]}, which is among task.unknowns.")
        self.priors = {name: prior(mesh) for name, prior in build(config.priors).items()}

    def description(self, *, given: Collection[str]) -> list[tuple[str, str]]:
        tests = [
            (
                test.name,
                f"{describe_test(test, self.kinds[test.name])}\n"
                f"on {test.step.elements.mesh}, by {type(test.step).__name__}",
            )
            for test in self.tests
        ]
        start = ", ".join(f"{u.name} = {format_unknown(u)}" for u in self.unknowns)
        return [
            *tests,
            ("Observed", "the files above" if self.twin is None else self.twin.description()),
            ("Fit", f"starts at {start}"),
        ]

    def check_gradients(self) -> None:
        raise ConfigError("check_gradients compares the unknowns of a rollout; leave it out with this task.")

    def results(self, *, ended: str, seconds: float) -> dict[str, Any]:
        losses: list[float] = []

        def on_step(count: int, loss: float) -> None:
            losses.append(loss)
            print(f"step {count}: loss {loss:.4g}", flush=True)

        self.found = found = identify_tests(
            self.tests, self.names, priors=self.priors, max_steps=self.max_steps, on_step=on_step
        )
        results: dict[str, Any] = {
            "parameters": parameter_rows(found.unknowns, self.initial, self.references),
            "tests": {test.name: self._row(test.name) for test in self.tests},
            "loss": {"found": losses[-1]},
            "steps": found.steps,
            "ended": ended,
            "seconds": round(seconds, 1),
        }
        results = add_uncertainty(results, found.unknowns, found.uncertainty, listed_in="task.unknowns")
        for unknown in found.unknowns:
            results["parameters"][unknown.name]["alone"] = {
                test: self._alone(errors, unknown.name, unknown.parameter)
                for test, errors in found.alone.items()
            }
        return results

    def _row(self, name: str) -> dict[str, Any]:
        """Return the results of one test."""
        test = next(test for test in self.tests if test.name == name)
        rms = self.found.rms[name]
        return {
            "kind": self.kinds[name],
            "described": describe_test(test, self.kinds[name]),
            "numbers": test.numbers,
            "rms": rms,
            "relative_rms": rms / test.size,
            "unit": test.unit,
        }

    @staticmethod
    def _alone(
        errors: Mapping[str, float], name: str, parameter: Tensor
    ) -> float | list[float | None] | None:
        """Return the standard error that one test alone gives a quantity; None where it is not determined."""
        own = [errors[key] for key in errors if key == name or key.startswith(f"{name}[")]
        finite = [error if math.isfinite(error) else None for error in own]
        if len(own) > FEW:  # their median, as in the row itself
            middle = float(torch.tensor(own).median())
            return middle if math.isfinite(middle) else None
        return finite[0] if parameter.numel() == 1 else finite

    def write(self, folder: Path, results: Mapping[str, Any]) -> dict[str, Any]:
        whole = dict(results)
        for test in self.tests:
            residuals, errors = self.found.residuals[test.name], self.found.fitted_errors[test.name]
            extra = write_test(folder, test, self.kinds[test.name], residuals, errors)
            whole["tests"][test.name] |= extra
        mesh = self.tests[0].step.elements.mesh
        draw_fields(folder, mesh, self.found.unknowns, self.references, results["parameters"])
        write_results(folder, whole)
        return whole

    def table(self, results: Mapping[str, Any]) -> str:
        return f"{format_table(results)}\n{format_tests(results)}"

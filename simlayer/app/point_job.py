"""The job of fitting laws to the curves of mechanical tests."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from omegaconf import DictConfig

from simlayer.app.config_tree import build, read_option
from simlayer.app.curve_data import configured_curves, twin_curves
from simlayer.app.job import Job
from simlayer.app.report import format_table
from simlayer.app.results import write_results
from simlayer.errors import ConfigError, ImplausibleWarning
from simlayer.identification.history import relative_error
from simlayer.identification.unknowns import quantities_of
from simlayer.material_point.comparison import Comparison, compare_laws
from simlayer.material_point.fit import fit_curves
from simlayer.material_point.fitted_law import FittedLaw
from simlayer.material_point.picture import fit_picture
from simlayer.materials.base import Material


class PointJob(Job):
    """Fits the material of a configuration to curves, and compares it with others.

    Args:
        config: the composed configuration; its `material` is the law at the first guess.
        tests, columns: the curves, see `configured_curves`; without any those of a twin.
        twin: the material of the twin, `truth`, and the further arguments of `twin_curves`.
        unknowns, incompressible, estimate_noise, starts, max_steps: as for `fit_curves`.
        laws: names of other materials, options of the group `material`, to compare with.
    """

    trained: ClassVar[bool] = False
    unread: ClassVar[tuple[str, ...]] = (
        *(
            "mesh",
            "obstacle",
            "forces",
            "masses",
            "dissipation",
            "step",
            "constraints",
            "initial",
            "duration",
        ),
        *("observation", "loss", "priors", "trainable", "fields", "takes", "holdout", "coarse"),
        *(
            "optimizer",
            "scheduler",
            "data.twin",
            "data.noise",
            "data.missing",
            "data.truth",
            "check_gradients",
        ),
    )

    def __init__(
        self,
        config: DictConfig,
        *,
        tests: Sequence[Mapping[str, Any]],
        columns: Mapping[str, Any],
        twin: Mapping[str, Any],
        unknowns: Sequence[str] | None,
        incompressible: bool,
        estimate_noise: bool,
        starts: int,
        max_steps: int,
        laws: Sequence[str],
    ) -> None:
        self.config, self.unknowns = config, unknowns
        self.material: Material = build(config.material)
        self.settings: dict[str, Any] = {
            "incompressible": incompressible,
            "estimate_noise": estimate_noise,
            "starts": starts,
            "seed": config.seed,
            "max_steps": max_steps,
        }
        self.laws = {name: build(read_option("material", name, key="task.laws")) for name in laws}
        self.truth: Material | None = None
        if tests or config.data.path is not None:
            self.curves = configured_curves(tests, columns, config.data.path)
        else:
            settings = {**twin, "incompressible": incompressible}
            self.truth = build(settings.pop("truth"))
            self.curves = twin_curves(self.truth, **settings)
        self.initial = {name: float(u.value.mean()) for name, u in quantities_of({"": self.material}).items()}

    def description(self, *, given: Collection[str]) -> list[tuple[str, str]]:
        hidden = "" if self.truth is None else f"; simulated, of {type(self.truth).__name__}"
        volume = "incompressible" if self.settings["incompressible"] else "compressible"
        curves = [("Curve", str(curve)) for curve in self.curves]
        return [*curves, ("Law", f"{type(self.material).__name__}, {volume}{hidden}")]

    def check_gradients(self) -> None:
        raise ConfigError("check_gradients compares the unknowns of a rollout; leave it out with this task.")

    def results(self, *, ended: str, seconds: float) -> dict[str, Any]:
        with warnings.catch_warnings():  # which are in the table
            warnings.simplefilter("ignore", ImplausibleWarning)
            self.fit = fit = fit_curves(self.material, self.curves, self.unknowns, **self.settings)
        linear = fit.uncertainty.linear
        results: dict[str, Any] = {
            "parameters": {name: self._row(fit, name) for name in fit.values},
            "uncertainty": {
                "names": fit.uncertainty.names,
                "correlation": fit.uncertainty.correlation.nan_to_num().tolist(),
                "observed_numbers": linear.numbers,
                "effective_numbers": fit.uncertainty.effective_numbers,
                "correlated_in_time": linear.correlated,
                "undetermined": fit.undetermined,
            },
            "rms": {
                "all": fit.rms,
                **{name: float((r**2).mean() ** 0.5) for name, r in fit.residuals.items()},
            },
            "starts": {"tried": fit.starts, "found_best": fit.found_best},
            "structured_residuals": fit.structured_residuals,
            "warnings": fit.warnings,
            "ended": ended,
            "seconds": round(seconds, 1),
        }
        if self.laws:
            own = {type(fit.material).__name__: fit.material}
            settings = {**self.settings}
            found = compare_laws({**own, **self.laws}, self.curves, **settings)
            results |= {"laws": _rows(found), "comparison": str(found)}
        return results

    def write(self, folder: Path, results: Mapping[str, Any]) -> dict[str, Any]:
        write_results(folder, results)
        fit_picture(self.fit).savefig(folder / "curves.png", dpi=150)
        return dict(results)

    def table(self, results: Mapping[str, Any]) -> str:
        lines = [format_table(results)]
        each = ", ".join(
            f"{name} {1e-3 * size:.3g}" for name, size in results["rms"].items() if name != "all"
        )
        lines.append(f"Residual of the fit: {1e-3 * results['rms']['all']:.4g} kPa ({each})")
        starts = results["starts"]
        if starts["tried"] > 1:
            lines.append(f"Starts: {starts['found_best']} of {starts['tried']} found this minimum.")
        lines += [f"STRUCTURED: {sentence}" for sentence in results["structured_residuals"]]
        lines += [f"WARNING: {sentence}" for sentence in results["warnings"]]
        return "\n".join([*lines, *([results["comparison"]] if "comparison" in results else [])])

    def _row(self, fit: FittedLaw, name: str) -> dict[str, Any]:
        """Return the results of one unknown."""
        units = dict(zip(fit.uncertainty.names, fit.units, strict=True))
        value, determined = fit.values[name], fit.standard_errors[name] != float("inf")
        known = {} if self.truth is None else quantities_of({"": self.truth})
        same = type(self.truth) is type(self.material) and name in known
        reference = known[name].value.reshape(()).double() if same else None
        error = None if reference is None else relative_error(reference.new_tensor(value), reference)
        row = {
            "initial": self.initial.get(name, 0.0),
            "found": value if determined else None,
            "reference": None if reference is None else float(reference),
            "relative_error": error if determined else None,
            "unit": units[name],
            "determined": determined,
        }
        return row | ({"standard_error": fit.standard_errors[name]} if determined else {"stopped": value})


def _rows(found: Comparison) -> list[dict[str, Any]]:
    """Return a comparison as plain numbers, the best law first."""
    return [
        {
            "law": law.name,
            "values": law.fit.values,
            "rms": law.fit.rms,
            "aicc": law.aicc,
            "held_out_rms": law.held_out,
        }
        for law in found.laws
    ]

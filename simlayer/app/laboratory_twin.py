"""Simulated tests on specimens of known materials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from simlayer.app.config_tree import build, flatten
from simlayer.app.data import TWINS
from simlayer.app.laboratory_scans import Scan, simulated_scan
from simlayer.app.laboratory_tests import Measured, SpecimenEntry
from simlayer.errors import ConfigError
from simlayer.identification.unknowns import Unknown, assigned
from simlayer.laboratory.joint_problem import shared_quantities
from simlayer.laboratory.read_load_curve import LoadCurve
from simlayer.laboratory.scan_test import ScanTest
from simlayer.laboratory.specimen_test import SpecimenTest
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.arguments import checked_number
from simlayer.quantities.named import full_name


class Twin:
    """Measurements of tests on specimens with known values, which are hidden from the fit.

    Args:
        entries: the tests.
        truth: physical values by name, possibly nested along the dots of the names; or functions of the mesh.
        noise: the standard deviation of the noise, as a share of the root mean square of each test.
        mesh: "same" as that of the fit, or "refined", which shows its bias.
        seed: of the noise.
    """

    def __init__(
        self,
        entries: Sequence[SpecimenEntry],
        *,
        truth: Mapping[str, Any],
        noise: float,
        mesh: str,
        seed: int,
    ) -> None:
        if mesh not in TWINS:
            raise ConfigError(f"task.twin.mesh must be one of {', '.join(TWINS)}, got {mesh!r}.")
        self.noise, self.mesh = checked_number("task.twin.noise", noise, least=0.0), mesh
        self.truth = flatten(build(truth))
        if not self.truth:
            raise ConfigError("task.twin.truth must have values, such as {youngs_modulus: 1e5}.")
        material = build(entries[0].config.material)
        steps = [entry.build_step(material, refined=mesh == "refined") for entry in entries]
        plans = [entry.planned(step) for entry, step in zip(entries, steps, strict=True)]
        tests = [e.build_test(s, d) for e, s, d in zip(entries, steps, plans, strict=True)]
        generator = torch.Generator().manual_seed(seed)
        candidates = shared_quantities(tests)
        with torch.no_grad(), assigned(candidates, self._values(steps[0].elements.mesh)):
            self.data = [
                self._measured(plan, test, generator) for plan, test in zip(plans, tests, strict=True)
            ]

    def _measured(self, plan: Measured, test: SpecimenTest, generator: torch.Generator) -> Measured:
        """Return planned measurements with what was seen."""
        if isinstance(plan, Scan):
            assert isinstance(test, ScanTest)
            return simulated_scan(test, plan, noise=self.noise, generator=generator)
        seen = self._seen(test, generator)
        if isinstance(plan, LoadCurve):
            return plan._replace(loads=seen)
        return plan._replace(displacements=torch.where(plan.displacements.isnan(), torch.nan, seen))

    def _seen(self, test: SpecimenTest, generator: torch.Generator) -> Tensor:
        exact = test.simulated().double().cpu()
        size = exact[~test.observed.isnan().cpu()].square().mean().sqrt()
        return exact + self.noise * size * torch.randn(exact.shape, generator=generator, dtype=torch.float64)

    def _values(self, mesh: Mesh) -> dict[str, Any]:
        return {name: value(mesh) if callable(value) else value for name, value in self.truth.items()}

    def references(self, candidates: Mapping[str, Unknown], mesh: Mesh) -> dict[str, Tensor]:
        """Return the true values by full name, on the mesh of a fit."""
        return {
            full_name(name, candidates): torch.as_tensor(value, dtype=torch.float64)
            for name, value in self._values(mesh).items()
        }

    def description(self) -> str:
        """Return one line about where the measurements come from."""
        truth = ", ".join(
            f"{name.rpartition('.')[2]} = {'a field' if callable(value) else value}"
            for name, value in self.truth.items()
        )
        where = "the fit's own meshes" if self.mesh == "same" else "meshes of eight times the cells"
        return f"simulated on {where}, noise {self.noise:.3g} of each test; hidden from the fit: {truth}"

"""The tests on specimens that a configuration describes: their bodies, and what was measured of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from omegaconf import DictConfig

from simlayer.app.config_tree import build
from simlayer.app.laboratory_scans import Scan, build_scan_test, planned_scan, read_points
from simlayer.app.scene import build_step
from simlayer.app.selection import components, select
from simlayer.errors import ConfigError, ObservationError
from simlayer.laboratory.displacement_test import DisplacementTest
from simlayer.laboratory.grips import GripMotion, Pull, Twist
from simlayer.laboratory.load_test import LoadTest
from simlayer.laboratory.pressure_volume_test import PressureVolumeTest
from simlayer.laboratory.read_displacements import DisplacementField, read_displacements
from simlayer.laboratory.read_load_curve import LoadCurve, read_load_curve
from simlayer.laboratory.specimen_test import SpecimenTest
from simlayer.materials.base import Material
from simlayer.mesh.refinement import refine
from simlayer.quantities.arguments import checked_integer, checked_number
from simlayer.steps.base import Step
from simlayer.steps.equilibrium import Equilibrium
from simlayer.steps.internal_variables import history_dependent

# What was measured in a test of some kind.
Measured = LoadCurve | DisplacementField | Scan

# What has to be given to read the file of a test.
_NEEDED_BY_CURVE = ("amount", "amount_unit", "load", "load_unit")
_SIMULATED = " for a simulated test, or the path of the file of a measured one"
_NEEDED_BY_FIELD = ("points", "points_unit", "displacements", "displacements_unit")


@dataclass(frozen=True)
class SpecimenEntry:
    """One of the tests of a configuration.

    Attributes:
        name: of the test.
        kind: "pull", "twist", "pressure_volume", "displacements" or "scan".
        given: what the configuration says of it, without what is None.
        config: the whole configuration, with the groups of this test.
    """

    name: str
    kind: str
    given: Mapping[str, Any]
    config: DictConfig

    @property
    def key(self) -> str:
        return f"task.tests.{self.name}"

    @contextmanager
    def named(self) -> Iterator[None]:
        """Add to an error of what the user has given which test it is of."""
        try:
            yield
        except (ValueError, TypeError, KeyError) as error:
            message = str(error.args[0]) if error.args else ""
            file = str(self.given.get("path", ""))
            if isinstance(error, ObservationError) and file not in message:
                message = f"{file}: {message}"
            if self.key not in message:
                error.args = (f"{self.key}: {message}", *error.args[1:])
            raise

    def build_step(self, material: Material, *, refined: bool = False) -> Step:
        """Return the specimen with this object as its material, on its mesh or a refinement of it."""
        with self.named():
            mesh = build(self.config.mesh)
            return build_step(self.config, refine(mesh) if refined else mesh, material)[0]

    def build_test(self, step: Step, data: Measured) -> SpecimenTest:
        """Return the test of a specimen with what was measured."""
        with self.named():
            return self._build_test(step, data)

    def _build_test(self, step: Step, data: Measured) -> SpecimenTest:
        if isinstance(data, Scan):
            return build_scan_test(step, data, self.given, name=self.name)
        options: Any = {"noise": self.given.get("noise"), "name": self.name}
        if isinstance(data, DisplacementField):
            if not isinstance(step, Equilibrium):
                raise ConfigError(
                    f"{self.key}: displacements are those of a state of rest: set step=equilibrium."
                )
            options |= self._moved_grip(step)
            rigid = bool(self.given.get("rigid_motion", False))
            return DisplacementTest(
                step,
                data.points,
                data.displacements,
                confidence=data.confidence,
                rigid_motion=rigid,
                **options,
            )
        if self.kind == "pressure_volume":
            if not isinstance(step, Equilibrium):
                raise ConfigError(f"{self.key}: a test of pressure and volume is slow: set step=equilibrium.")
            return PressureVolumeTest(step, str(self.needed("cavity")), data.amounts, data.loads, **options)
        vertices, motion = select(step.elements.mesh, self.needed("grip")), self._motion(self.kind)
        times = data.times if self._takes_time(step) else None
        if times is None and self._takes_time(step):
            raise ConfigError(
                f"{self.key}.time must be given (of a simulated test: lasts), as {type(step).__name__} moves "
                "the body through time, or what it is made of relaxes; or take step=equilibrium and "
                "forces=elastic for a slow test."
            )
        options["copies"] = self.given.get("copies", 1.0)
        return LoadTest(step, vertices, motion, data.amounts, data.loads, times=times, **options)

    @staticmethod
    def _takes_time(step: Step) -> bool:
        """Return whether it matters how long a test takes."""
        forces = history_dependent(step).values()
        return not isinstance(step, Equilibrium) or any(force.rate_dependent for force in forces)

    def _motion(self, kind: str) -> GripMotion:
        """Return the motion of the grip, of a pull or a twist."""
        axis = self.needed("axis")
        return Pull(axis) if kind == "pull" else Twist(axis, self.needed("about"))

    def _moved_grip(self, step: Step) -> dict[str, Any]:
        """Return how the grip has moved when displacements are seen, if it has."""
        if "moved_by" not in self.given:
            return {}
        kind = self.given.get("moved", "pull")
        if kind not in ("pull", "twist"):
            raise ConfigError(f"{self.key}.moved must be pull or twist, got {kind!r}.")
        vertices = select(step.elements.mesh, self.needed("grip"))
        return {"grip": vertices, "motion": self._motion(kind), "amount": self.given["moved_by"]}

    def read(self) -> Measured:
        """Return what is in the file of the test.

        Raises:
            ConfigError: if a column or unit is not given.
            ObservationError: if the file is not as described.
        """
        if self.kind == "scan":
            with self.named():
                return read_points(self.given)
        curve = self.kind != "displacements"
        for name in _NEEDED_BY_CURVE if curve else _NEEDED_BY_FIELD:
            self.needed(name, f" to read {self.given['path']}, here or for all tests as task.common.{name}")
        reader: Any = read_load_curve if curve else read_displacements
        options = {n: v for n, v in self.given.items() if n in inspect.signature(reader).parameters}
        with self.named():
            return reader(options.pop("path"), **options, **({"kind": self.kind} if curve else {}))

    def planned(self, step: Step) -> Measured:
        """Return the measurements of a simulated test: where and when, without values."""
        mesh = step.elements.mesh
        if self.kind == "scan":
            with self.named():
                return planned_scan(mesh, self.given)
        if self.kind == "displacements":
            points = mesh.vertices[select(mesh, self.needed("at", _SIMULATED))].double()
            seen = components(self.given.get("components", "xyz"))
            return DisplacementField(
                points, torch.where(seen, 1.0, torch.nan).double().expand_as(points), None
            )
        largest = checked_number(f"{self.key}.up_to", self.needed("up_to", _SIMULATED))
        count = checked_integer(f"{self.key}.rows", self.given.get("rows", 8), least=1)
        amounts = torch.linspace(0, largest, count + 1, dtype=torch.float64)[1:]
        if self.given.get("unload"):
            amounts = torch.cat([amounts, amounts.flip(0)[1:]])
        times = None
        if self.given.get("lasts"):
            times = torch.linspace(0, float(self.given["lasts"]), len(amounts) + 1, dtype=torch.float64)[1:]
        return LoadCurve(amounts, torch.ones_like(amounts), times)

    def needed(self, name: str, remedy: str = "") -> Any:
        """Return the value of a key; raises ConfigError if it is not given."""
        if name not in self.given:
            raise ConfigError(f"{self.key}.{name} must be given{remedy}: see configs/task/laboratory.yaml.")
        return self.given[name]

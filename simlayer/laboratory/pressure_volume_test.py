"""The volume of a closed cavity over the pressure in it."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from simlayer.actuators.cavity_pressure import CavityPressure
from simlayer.errors import ObservationError, hint
from simlayer.laboratory.specimen_test import SpecimenTest
from simlayer.quantities.arrays import checked_numbers, described
from simlayer.quantities.objects import checked_instance
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State
from simlayer.steps.equilibrium import Equilibrium


class PressureVolumeTest(SpecimenTest):
    """The inflation of a cavity: how much its volume grows at given pressures.

    The cavity goes from its place at rest through one pressure after the other; the pressure follows its
    surface. It stands in place of the `pressure` of the force.

        forces = {"elastic": ElasticForce(mesh, material), "chamber": CavityPressure(mesh, "chamber")}
        step = Equilibrium(mesh, forces, fixed="base")
        print(identify_tests(PressureVolumeTest(step, "chamber", pressures, volumes), "youngs_modulus"))

    Args:
        step: the body, an `Equilibrium`.
        cavity: the name of one of its forces, a `CavityPressure`.
        pressures: above that around the body [Pa], `(n,)`, in the order in which they were reached.
        volumes: the measured changes of the volume from that at rest [m³], `(n,)`; NaN where there is none.
        noise: the standard deviation of the volumes [m³].
        name: of the test.

    Raises:
        ObservationError: if pressures and volumes are not as many, or not finite.
        KeyError: if no force has that name.
        TypeError: if the force is no `CavityPressure`, or the step no `Equilibrium`.
    """

    amount_unit = "Pa"

    def __init__(
        self,
        step: Equilibrium,
        cavity: str,
        pressures: Any,
        volumes: Any,
        *,
        noise: float | None = None,
        name: str = "pressure_volume",
    ) -> None:
        checked_instance("step", step, Equilibrium, example="Equilibrium(...)")
        checked_instance("cavity", cavity, str)
        if cavity not in step.forces:
            raise KeyError(f"cavity: no force is named {cavity!r}; {hint(cavity, list(step.forces))}")
        self.cavity = checked_instance(
            f"forces[{cavity!r}]",
            step.forces[cavity],
            CavityPressure,
            example="CavityPressure(mesh, 'chamber')",
        )
        self.amounts, measured = checked_numbers("pressures", pressures), checked_numbers("volumes", volumes)
        if self.amounts.ndim != 1 or measured.shape != self.amounts.shape:
            raise ObservationError(
                f"pressures and volumes must be as many, (n,) each, got {described(pressures)} and "
                f"{described(volumes)}."
            )
        if not bool(self.amounts.isfinite().all()):
            raise ObservationError(f"pressures must be finite, got {described(pressures)}.")
        super().__init__(step, measured, noise=noise, name=name, unit="m³")
        self.rollout = RolloutModule(step, len(measured))
        self._controls = {f"forces.{cavity}.pressure": self.amounts.to(step.free)[:, None]}

    def frames(self) -> State:
        start = State.at_rest(self.step.elements.mesh.vertices)
        return self.rollout.trajectory(start, controls=self._controls)

    def simulated(self) -> Float[Tensor, "n"]:
        volumes = self.cavity.volume(self.frames().positions)
        return volumes[1:] - volumes[:1]

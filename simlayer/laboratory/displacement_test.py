"""Displacements of points of a specimen under a load, as digital image correlation measures them."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.errors import ObservationError
from simlayer.identification.sensors import Markers
from simlayer.laboratory.grips import GripMotion, grip_path
from simlayer.laboratory.specimen_test import SpecimenTest
from simlayer.quantities.arguments import checked_flag, checked_number
from simlayer.quantities.arrays import checked_numbers, described
from simlayer.quantities.objects import checked_instance
from simlayer.rollout.controls import motion_controls
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State
from simlayer.steps.base import Step


class DisplacementTest(SpecimenTest):
    """The displacements of points of a specimen in one state of rest.

    Args:
        step: the specimen with its loads, an `Equilibrium`.
        points: where the points are on the specimen at rest [m], `(K, 3)`.
        displacements: the measured ones [m], `(K, 3)`; NaN where a point, or a component of it, was not
            measured: NaN in the third for a single camera.
        rigid_motion: whether a small rigid motion of the whole specimen, as by the grips of a machine, is
            unknown too: it is taken out of the residuals, by least squares.
        surface_strain: whether uniform strains of the picture along x and along y are unknown likewise. A
            single camera that looks along z sees them where the specimen moves towards it, and on the surface
            of a plate that bends. What is left tells moduli by how the displacements vary, as about a hole.
        confidence: of each point `(K,)`, by which its residual is multiplied; 1 by default.
        grip: the vertices that a moving grip holds, if the specimen is loaded by one: the name of a vertex
            set, indices or a mask `(N,)`. Without a force that is known only ratios of stiffnesses show.
        motion: `Pull` or `Twist`, of the grip.
        amount: by how much the grip has moved [m] or turned [rad].
        noise: the standard deviation of the displacements [m].
        name: of the test.

    Raises:
        ObservationError: if a point is not on the specimen, or the displacements are not as many.
        TypeError: if there is a grip without a motion.
        ValueError: if the grip holds a vertex that is not fixed.
    """

    def __init__(
        self,
        step: Step,
        points: Any,
        displacements: Any,
        *,
        rigid_motion: bool = False,
        surface_strain: bool = False,
        confidence: Any = None,
        grip: Tensor | str | None = None,
        motion: GripMotion | None = None,
        amount: float = 0.0,
        noise: float | None = None,
        name: str = "displacements",
    ) -> None:
        places, measured = checked_numbers("points", points), checked_numbers("displacements", displacements)
        if places.ndim != 2 or places.shape[-1] != 3 or measured.shape != places.shape:
            raise ObservationError(
                f"points and displacements must be of shape (K, 3) each, got {described(points)} and "
                f"{described(displacements)}."
            )
        weights = checked_numbers("confidence", torch.ones(len(places)) if confidence is None else confidence)
        if weights.shape != (len(places),) or not bool((weights.isfinite() & (weights >= 0)).all()):
            raise ObservationError(
                f"confidence must be a number from 0 on for each of the {len(places)} points, got "
                f"{described(confidence)}."
            )
        super().__init__(step, measured, noise=noise, name=name, unit="m")
        self.points, self.markers = places, Markers(step.elements.mesh, places)
        self.rollout = RolloutModule(step, 1)
        moved = checked_number("amount", amount)
        self._controls: dict[str, Tensor] | None = None
        if grip is not None:
            how = checked_instance("motion", motion, GripMotion, example="Pull((1, 0, 0))")
            path = grip_path(step, [(grip, how)], torch.tensor([0.0, moved]))
            if not bool(path.isfinite().all()):
                raise ValueError(
                    f"amount must be one by which a grip can move, got {moved:g} {how.amount_unit}."
                )
            self._controls = motion_controls(path, step.dt)
        elif motion is not None or moved:
            raise ValueError(f"grip must be the vertices that move by amount={moved:g}, got None.")
        self.weights = weights.to(step.free)[:, None]
        self.rigid_motion = checked_flag("rigid_motion", rigid_motion)
        self.surface_strain = checked_flag("surface_strain", surface_strain)
        self.places = places.to(step.free)
        self._motions = self._motion_basis()

    def frames(self) -> State:
        start = State.at_rest(self.step.elements.mesh.vertices)
        return self.rollout.trajectory(start, controls=self._controls)

    def simulated(self) -> Float[Tensor, "K 3"]:
        rest = self.step.elements.mesh.vertices
        end = self.rollout(State.at_rest(rest), controls=self._controls)
        return self.markers(end.positions) - self.markers(rest)

    def residuals(self) -> Float[Tensor, "K 3"]:
        found = self.weights * super().residuals()
        if self._motions is None:
            return found
        flat = found.flatten()
        return (flat - self._motions @ (self._motions.T @ flat)).view_as(found)

    def _motion_basis(self) -> Float[Tensor, "R U"] | None:
        """Return orthonormal columns that span the residuals of unknown motions, None without any."""
        arms = self.places - self.places.mean(0)
        arms, axes = arms / arms.norm(dim=-1).max().clamp(min=1e-300), torch.eye(3).to(arms)
        fields = []
        if self.rigid_motion:
            shifts = axes[:, None].expand(3, len(arms), 3)
            fields += [shifts, torch.linalg.cross(shifts, arms.expand_as(shifts))]
        if self.surface_strain:
            fields.append(axes[:2, None] * arms)
        if not fields:
            return None
        columns = self.weights * torch.cat(fields)
        columns = torch.where(self.observed.isnan(), 0.0, columns).flatten(1).T
        left, sizes, _ = torch.linalg.svd(columns, full_matrices=False)
        return left[:, sizes > 1e-9 * sizes[0]]  # without those that no measured component sees

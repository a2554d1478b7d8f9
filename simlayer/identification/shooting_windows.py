"""The windows of multiple shooting: simulated at once as one batch, with their residuals and derivatives."""

from __future__ import annotations

import copy
import math

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.identification.block_tridiagonal import WindowEquations
from simlayer.identification.frames import interpolate_frames
from simlayer.identification.least_squares import LeastSquares
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.scenes import ObservedScenes
from simlayer.identification.vibration_modes import ModalCoordinates
from simlayer.rollout.parameter_jacobian import jacobian_with_aux
from simlayer.state import State


class ShootingWindows:
    """A recording cut into windows, each of which starts in a state of its own but for the first.

    Residuals are those of the observed points of every window, and the gaps: the amplitudes at the end of a
    window minus those at the start of the next.

    Args:
        observed: a single rollout, and its sensors.
        squares: the fit by it.
        scenes: the known initial state, and what was observed.
        coordinates: amplitudes of states.
        windows: how many, at most; all have as many steps.
    """

    def __init__(
        self,
        observed: ObservedRollout,
        squares: LeastSquares,
        scenes: ObservedScenes,
        coordinates: ModalCoordinates,
        windows: int,
    ) -> None:
        self.squares, self.scenes, self.coordinates = squares, scenes, coordinates
        self._observed, whole = observed, observed.rollout
        since_start = (observed.times - float(observed.release_time.detach())).clamp(min=0.0)
        length = math.ceil(whole.num_steps / windows)
        self.every = min(observed.every, length)
        frames = math.ceil(length / self.every)
        self.rollout = copy.copy(whole)
        self.rollout.num_steps = frames * self.every
        self.count = math.ceil(whole.num_steps / self.rollout.num_steps)
        self._interval = self.every * whole.step.dt
        parts = since_start / self._interval
        self.window = (parts / frames).floor().long().clamp(max=self.count - 1)
        # As if the frames of all windows followed each other: nothing is interpolated from one to the next.
        self._times = ((parts + self.window) * self._interval).to(scenes.positions)
        self._known = torch.arange(self.count)[:, None, None] == 0

    def starts(self) -> Float[Tensor, "W D"]:
        """Return the amplitudes of all windows at rest."""
        return self._known.new_zeros(self.count, 2 * len(self.coordinates.shapes), dtype=torch.float64)

    def linearized(self, starts: Float[Tensor, "W D"], weight: float) -> WindowEquations:
        """Return the normal equations at the present values and starts of the windows.

        Derivatives by the starts are those by one change of all of them: windows do not depend on each other,
        so that a rollout takes as many directions as a single window has numbers.

        Args:
            starts: the amplitudes at the start of every window; those of the first are not read.
            weight: how many observed points the gap of an amplitude counts as.
        """
        present = starts.to(self.scenes.positions)
        shift = torch.zeros_like(present[0])
        parameters = {f"{k}": unknown.parameter for k, unknown in enumerate(self.squares.unknowns)}

        def function() -> tuple[Tensor, tuple[()]]:
            residuals, ends = self._simulated(present + shift)
            return torch.cat([residuals.flatten(), ends.flatten()]), ()

        found, columns, _ = jacobian_with_aux(function, {**parameters, "shift": shift})
        jacobian = torch.cat([part.reshape(len(found), -1) for part in columns.values()], -1).double()
        rows = len(found) - starts.numel()
        residuals = found[:rows].double().view(len(self.window), -1)
        ends = found[rows:].double().view_as(starts)
        slopes = jacobian[:rows].view(*residuals.shape, -1)
        gaps = ends[:-1] - starts[1:]
        return self._equations(residuals, slopes, gaps, jacobian[rows:].view(*starts.shape, -1)[:-1], weight)

    def _simulated(self, starts: Float[Tensor, "W D"]) -> tuple[Tensor, Float[Tensor, "W D"]]:
        """Return the residuals of all observations, and the amplitudes at the end of every window."""
        state = self.coordinates.state(starts)
        positions = torch.where(self._known, self.scenes.positions, state.positions)
        velocities = torch.where(self._known, self.scenes.velocities, state.velocities)
        motion = self.rollout.trajectory(State(positions, velocities), every=self.every)
        positions, velocities = (part.transpose(0, 1).flatten(0, 1) for part in motion[:2])
        joined = State(positions, velocities)
        points = self._observed.seen(interpolate_frames(joined, self._interval, self._times))
        residuals = self.squares.compared(points[None], self.scenes)
        return residuals, self.coordinates.amplitudes(State(motion.positions[-1], motion.velocities[-1]))

    def _equations(
        self,
        residuals: Float[Tensor, "T R"],
        slopes: Float[Tensor, "T R C"],
        gaps: Float[Tensor, "V D"],
        gap_slopes: Float[Tensor, "V D C"],
        weight: float,
    ) -> WindowEquations:
        """Return the sums of squares by blocks; C = P + D columns, first those of the shared values."""
        number = self.squares.loss.present_points(self.scenes.observed).sum().double()
        size, windows = gaps.shape[1], self.count
        shared = slopes.shape[-1] - size
        products = gaps.new_zeros(windows, *slopes.shape[-1:] * 2)
        gradients = gaps.new_zeros(windows, slopes.shape[-1])
        products.index_add_(0, self.window, slopes.mT @ slopes)
        gradients.index_add_(0, self.window, torch.einsum("trc,tr->tc", slopes, residuals))
        products[:-1] += weight * gap_slopes.mT @ gap_slopes
        gradients[:-1] += weight * torch.einsum("vdc,vd->vc", gap_slopes, gaps)
        # The start of the next window, with a derivative of minus one.
        diagonal, own = products[:, shared:, shared:].clone(), gradients[:, shared:].clone()
        mixed = products[:, :shared, shared:].clone()
        diagonal[1:] += weight * torch.eye(size, dtype=gaps.dtype)
        own[1:] -= weight * gaps
        mixed[1:] -= weight * gap_slopes[..., :shared].mT
        beside = -weight * gap_slopes[..., shared:].mT
        diagonal[0], beside[0], mixed[0], own[0] = torch.eye(size, dtype=gaps.dtype), 0.0, 0.0, 0.0
        scale = 2 / number
        loss = (residuals.square().sum() + weight * gaps.square().sum()) / number
        return WindowEquations(
            loss,
            scale * gradients[:, :shared].sum(0),
            scale * products[:, :shared, :shared].sum(0),
            scale * own,
            scale * diagonal,
            scale * beside,
            scale * mixed,
            number,
        )

"""The motion of a body's surface, which is all that a viewer draws of a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.mesh.mesh import Mesh
from simlayer.mesh.paraview import field_frames, frame_times
from simlayer.motion_capture.recording import Recording
from simlayer.quantities.arguments import checked_parts
from simlayer.quantities.arrays import checked_numbers
from simlayer.quantities.objects import checked_instance, checked_text

DISPLACEMENT = "displacement [m]"


class MotionError(ValueError):
    """Raised for a motion that cannot be shown, and for a folder without a motion."""


@dataclass(frozen=True, eq=False, repr=False)
class SurfaceMotion:
    """A moving surface with fields and points, made by `surface_motion` or `read_motion`.

    Attributes:
        name: the label of the motion where several are shown.
        times: of the T frames [s], increasing.
        positions: of the V vertices of the surface [m].
        triangles: the vertices of each of the S triangles, anticlockwise seen from outside.
        fields: values that colour the surface, by names with units such as "speed [m/s]".
        points: recorded or simulated points, by names such as "observed", at times of their own.
    """

    name: str
    times: Float[np.ndarray, "T"]
    positions: Float[np.ndarray, "T V 3"]
    triangles: Int[np.ndarray, "S 3"]
    fields: Mapping[str, Float[np.ndarray, "T V"]] = field(default_factory=dict)
    points: Mapping[str, Recording] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, values in {"positions": self.positions, **self.fields}.items():
            finite = np.isfinite(values).reshape(len(values), -1).all(1)
            if not finite.all():
                raise MotionError(
                    f"{self.name}: {what} must be finite to be shown, but are not in frame {finite.argmin()} "
                    f"of {len(finite)}, at {self.times[finite.argmin()]:g} s; show the frames before it."
                )


def surface_motion(
    mesh: Mesh,
    positions: Float[Tensor, "T N 3"],
    *,
    times: Float[Tensor, "T"] | None = None,
    vertex_fields: Mapping[str, Tensor] | None = None,
    points: Mapping[str, Recording] | None = None,
    name: str = "motion",
) -> SurfaceMotion:
    """Return the motion of the surface of a mesh, with the displacement and other fields.

    Args:
        mesh: the body.
        positions: the frames [m], such as the positions of a rollout's trajectory.
        times: of the frames [s]; by default 0, 1, 2, ...
        vertex_fields: values at the vertices, (T, N) or (N,), by names that end in units; vectors, (T, N, 3),
            are shown by their lengths.
        points: recorded or simulated points by name, at times of their own; NaN where nothing was observed.
        name: the label of the motion where several are shown.

    Raises:
        MeshError: if positions, times or a field do not fit the mesh.
        MotionError: if a position or a field is not finite, or a field holds tensors.
    """
    mesh = checked_instance("mesh", mesh, Mesh)
    positions = checked_instance("positions", positions, Tensor)
    times = None if times is None else checked_numbers("times", times)
    fields = {} if vertex_fields is None else vertex_fields
    fields = checked_parts("vertex_fields", fields, Tensor, "a tensor")
    recordings = {} if points is None else points
    recordings = checked_parts("points", recordings, Recording, "Recording(times, markers)")
    name = checked_text("name", name)
    moments = np.asarray(frame_times(times, positions, mesh))
    used, corners = mesh.boundary.cpu().unique(return_inverse=True)
    positions = positions.detach().double().cpu()
    if DISPLACEMENT not in fields:
        fields = {DISPLACEMENT: (positions - mesh.vertices.double().cpu()).norm(dim=-1), **fields}
    shape = (len(positions), len(mesh.vertices))
    shown = {key: _sizes(key, values, shape)[:, used.numpy()] for key, values in fields.items()}
    return SurfaceMotion(name, moments, positions[:, used].numpy(), corners.numpy(), shown, recordings)


def _sizes(name: str, values: Tensor, shape: tuple[int, int]) -> Float[np.ndarray, "T N"]:
    """Return a field or the lengths of its vectors in each frame; raises MotionError if it holds tensors."""
    size = length(field_frames(name, values, shape).double().numpy())
    if size is None:
        raise MotionError(
            f"vertex_fields[{name!r}] must hold numbers or vectors, got shape {tuple(values.shape)}; "
            "show one component of it."
        )
    return size


def length(values: Float[np.ndarray, "T N *parts"]) -> Float[np.ndarray, "T N"] | None:
    """Return scalars as they are, vectors as their lengths, and None for tensors."""
    values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    if values.ndim == 2:
        return values
    return np.linalg.norm(values, axis=2) if values.ndim == 3 and values.shape[2] == 3 else None

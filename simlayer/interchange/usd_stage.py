"""Motions as USD stages, which Omniverse, Blender and Houdini show."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from simlayer.interchange.arrays import from_arrays, to_arrays
from simlayer.interchange.motion import BodyMotion, imported
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.validation import MeshError
from simlayer.quantities.arguments import checked_number
from simlayer.quantities.objects import checked_path

SUFFIXES = (".usd", ".usda", ".usdc")
BODY, ARRAYS = "/Body", "simlayer"


def write_usd(
    path: str | os.PathLike[str],
    mesh: Mesh,
    positions: Float[Tensor, "T N 3"],
    *,
    times: Float[Tensor, "T"] | None = None,
    frame_rate: float = 24.0,
) -> None:
    """Write the motion of a body's surface, z upwards and in metres, as a mesh that changes with time.

    The stage also keeps the cells, regions and vertex sets, so that `read_usd` returns the whole body.

    Args:
        path: of the file: .usda (text), .usdc or .usd.
        mesh: the body.
        positions: of its vertices in each frame [m].
        times: of the frames [s]; by default 0, 1, 2, ...
        frame_rate: the frames per second by which programs play it; times between them are kept.

    Raises:
        ImportError: without usd-core, which is in the extra `interchange`.
        MeshError: if positions or times do not fit the mesh, or the file has another suffix.
    """
    path = checked_path("path", path)
    frame_rate = checked_number("frame_rate", frame_rate, unit="frames per second", above=0.0)
    if path.suffix not in SUFFIXES:
        raise MeshError(f"path must end in {', '.join(SUFFIXES)}, got {path}; name it {path.stem}.usdc.")
    arrays = to_arrays(mesh, positions, times=times)
    geometry = imported("pxr.UsdGeom")
    from pxr import Usd, Vt

    stage = Usd.Stage.CreateNew(str(path))
    geometry.SetStageUpAxis(stage, geometry.Tokens.z)
    geometry.SetStageMetersPerUnit(stage, 1.0)
    stage.SetTimeCodesPerSecond(frame_rate)
    moments = frame_rate * arrays["times"]
    stage.SetStartTimeCode(float(moments[0]))
    stage.SetEndTimeCode(float(moments[-1]))
    body = geometry.Mesh.Define(stage, BODY)
    stage.SetDefaultPrim(body.GetPrim())
    triangles = mesh.boundary.cpu().numpy().astype(np.int32)
    body.CreateSubdivisionSchemeAttr(geometry.Tokens.none)
    body.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(triangles), 3, dtype=np.int32)))
    body.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(triangles.flatten()))
    points, extent = body.CreatePointsAttr(), body.CreateExtentAttr()
    for moment, frame in zip(moments.tolist(), arrays.pop("positions"), strict=True):
        frame = np.ascontiguousarray(frame, dtype=np.float32)
        points.Set(Vt.Vec3fArray.FromNumpy(frame), moment)
        extent.Set(Vt.Vec3fArray.FromNumpy(np.stack([frame.min(0), frame.max(0)])), moment)
    body.GetPrim().SetCustomDataByKey(ARRAYS, _packed(arrays))
    stage.GetRootLayer().Save()


def read_usd(path: str | os.PathLike[str]) -> BodyMotion:
    """Read the body and the motion from a file of `write_usd`, with positions in single precision.

    Raises:
        ImportError: without usd-core, which is in the extra `interchange`.
        MeshError: if the file does not exist, or `write_usd` has not written it.
    """
    path = checked_path("path", path)
    geometry = imported("pxr.UsdGeom")
    from pxr import Tf, Usd

    if not path.is_file():
        raise MeshError(f"{path} does not exist.")
    try:
        stage = Usd.Stage.Open(str(path))
    except Tf.ErrorException as error:
        raise MeshError(f"{path} cannot be read as USD: {' '.join(str(error).split())}") from error
    prim = stage.GetPrimAtPath(BODY)
    packed = prim.GetCustomDataByKey(ARRAYS) if prim else None
    if not packed:
        raise MeshError(
            f"{path} has no cells, as only files of write_usd have; fill its surface by mesh_from."
        )
    points = geometry.Mesh(prim).GetPointsAttr()
    frames = [np.array(points.Get(moment)) for moment in points.GetTimeSamples()]
    return from_arrays({**_unpacked(packed), "positions": np.stack(frames)})


def _packed(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return arrays as values that USD stores: flattened numbers with the number of columns, or texts."""
    from pxr import Vt

    packed: dict[str, Any] = {}
    for name, values in arrays.items():
        if values.dtype.kind == "U":
            packed[name] = {"texts": Vt.StringArray(values.tolist())}
            continue
        kind, dtype = (Vt.IntArray, np.int32) if values.dtype.kind in "iu" else (Vt.DoubleArray, np.float64)
        row = kind.FromNumpy(np.ascontiguousarray(values, dtype=dtype).flatten())
        packed[name] = {"numbers": row, "columns": values.shape[1] if values.ndim == 2 else 0}
    return packed


def _unpacked(packed: Mapping[str, Any]) -> dict[str, np.ndarray]:
    arrays = {}
    for name, part in packed.items():
        if "texts" in part:
            arrays[name] = np.array(list(part["texts"]))
            continue
        numbers = np.array(part["numbers"])
        arrays[name] = numbers.reshape(-1, part["columns"]) if part["columns"] else numbers
    return arrays

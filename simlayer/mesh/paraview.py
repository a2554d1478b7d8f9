"""The motion of a body as files that ParaView plays: one .vtu per frame, and a .pvd that lists them."""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.mesh.mesh import Mesh, MeshError
from simlayer.quantities.arguments import checked_parts
from simlayer.quantities.arrays import checked_numbers, oddity
from simlayer.quantities.objects import checked_instance, checked_path


def write_frames(
    path: str | os.PathLike[str],
    mesh: Mesh,
    positions: Float[Tensor, "T N 3"],
    *,
    times: Float[Tensor, "T"] | None = None,
    vertex_fields: Mapping[str, Tensor] | None = None,
    cell_fields: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write `positions` [m] at `times` [s] (default 0, 1, 2, ...) and fields; return the path of the .pvd.

    Fields have the shape (T, N, ...), or (N, ...) if constant in time; cell fields (T, M, ...) or (M, ...).
    Where both fit, the first is meant. Everything is in the file's order; nodes that no cell uses stay in
    place, with NaN for fields.
    """
    # Imported here because meshio takes long to import.
    import meshio

    from simlayer.mesh.meshio_files import MESHIO_NAMES

    path = checked_path("path", path)
    checked_instance("mesh", mesh, Mesh)
    checked_instance("positions", positions, Tensor)
    times = None if times is None else checked_numbers("times", times)
    vertex_fields, cell_fields = (
        {} if fields is None else checked_parts(name, fields, Tensor, "a tensor")
        for name, fields in (("vertex_fields", vertex_fields), ("cell_fields", cell_fields))
    )
    if path.suffix not in ("", ".pvd"):
        raise MeshError(
            f"{path}: write_frames writes a .pvd and a folder of .vtu files; name it {path.stem}.pvd."
        )
    path = path.with_suffix(".pvd")
    moments = frame_times(times, positions, mesh)
    infinite = ~positions.detach().isfinite().flatten(1).all(1)
    if infinite.any():
        first = int(infinite.nonzero()[0])
        warnings.warn(f"positions are not finite from frame {first} on; written as they are.", stacklevel=2)
    nodes = mesh.to_file_order(_plain(positions), 1, unused=mesh.file_vertices)
    points = {name: _vertex_frames(name, values, mesh, len(nodes)) for name, values in vertex_fields.items()}
    cells = {name: _cell_frames(name, values, mesh, len(nodes)) for name, values in cell_fields.items()}
    folder = path.with_suffix("").with_name(f"{path.stem}_frames")
    folder.mkdir(parents=True, exist_ok=True)
    # Without its list, a series that a crash cuts short cannot be taken for the old one or a whole one.
    path.unlink(missing_ok=True)
    corners = mesh.file_index[mesh.cells].cpu().numpy()
    names = [f"frame_{index:06d}.vtu" for index in range(len(nodes))]
    for index, name in enumerate(names):
        point_data = {_escaped(key): values[index] for key, values in points.items()}
        cell_data = {_escaped(key): [values[index]] for key, values in cells.items()}
        frame = meshio.Mesh(
            nodes[index].numpy(), [(MESHIO_NAMES[mesh.element], corners)], point_data, cell_data
        )
        frame.write(folder / name, file_format="vtu")
    _write_list(path, moments, [f"{folder.name}/{name}" for name in names])
    return path


def frame_times(times: Tensor | None, positions: Tensor, mesh: Mesh) -> list[float]:
    """Return the times of frames [s], by default 0, 1, 2, ...; raises MeshError unless both fit."""
    expected = (len(mesh.vertices), 3)
    odd, real = oddity(positions), positions.is_floating_point()
    if positions.dim() != 3 or positions.shape[1:] != expected or not real or odd:
        kind = f", {odd}" if odd else ""
        raise MeshError(
            f"positions must be real numbers of shape (T, {expected[0]}, 3), got {positions.dtype} "
            f"of shape {tuple(positions.shape)}{kind}; a single state is positions[None]."
        )
    if len(positions) == 0:
        raise MeshError(f"positions must hold at least one frame, got shape {tuple(positions.shape)}.")
    moments = list(map(float, range(len(positions)))) if times is None else _plain(times).double().tolist()
    rising = np.ndim(moments) == 1 and np.isfinite(moments).all() and (np.diff(moments) > 0).all()
    if np.shape(moments) != (len(positions),) or not rising:
        raise MeshError(
            f"times must be {len(positions)} finite, rising numbers in s, one per frame, got {moments} "
            f"of shape {np.shape(moments)}."
        )
    return moments


def _plain(values: Tensor) -> Tensor:
    values = values.detach().cpu()
    # VTK knows neither 16-bit floats nor booleans.
    if values.dtype in (torch.float16, torch.bfloat16):
        return values.float()
    return values.to(torch.uint8) if values.dtype == torch.bool else values


def _vertex_frames(name: str, values: Tensor, mesh: Mesh, count: int) -> np.ndarray:
    values = field_frames(name, values, (count, len(mesh.vertices)))
    if len(mesh.file_vertices) > len(mesh.vertices) and not values.is_floating_point():
        values = values.double()
    return mesh.to_file_order(values, 1).numpy()


def _cell_frames(name: str, values: Tensor, mesh: Mesh, count: int) -> np.ndarray:
    values = field_frames(name, values, (count, len(mesh.cells)))
    return values.numpy()


def field_frames(name: str, values: Tensor, expected: tuple[int, int]) -> Tensor:
    """Return a field of (T, N) numbers or (T, N, components); a matrix becomes nine components by rows.

    Raises:
        MeshError: if its shape is another one than (T, N, ...) or (N, ...), or it holds no plain numbers.
    """
    if odd := oddity(values):
        remedy = "; write .real and .imag" * values.is_complex()
        raise MeshError(f"field {name!r} must hold plain real numbers, got a tensor that is {odd}{remedy}.")
    values = _plain(values)
    if values.shape[:2] != expected and values.shape[:1] == expected[1:]:
        values = values.expand(expected[0], *values.shape)
    if values.shape[:2] != expected or values.numel() == 0:
        raise MeshError(
            f"field {name!r} must have shape ({expected[0]}, {expected[1]}, ...) or ({expected[1]}, ...), "
            f"got {tuple(values.shape)}."
        )
    return values.flatten(2) if values.dim() > 3 else values


def _escaped(name: str) -> str:
    # meshio writes names into the XML as they are, in whatever encoding the machine prefers.
    return escape(name, {'"': "&quot;"}).encode("ascii", "xmlcharrefreplace").decode()


def _write_list(path: Path, moments: list[float], names: list[str]) -> None:
    rows = [
        f'    <DataSet timestep="{t!r}" part="0" file={quoteattr(n)}/>'
        for t, n in zip(moments, names, strict=True)
    ]
    head = ['<?xml version="1.0"?>', '<VTKFile type="Collection" version="0.1">', "  <Collection>"]
    text = "\n".join([*head, *rows, "  </Collection>", "</VTKFile>", ""])
    # Renaming is one step for the file system: the list is there whole, or not at all.
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)

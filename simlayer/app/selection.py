"""Selection of vertices of a mesh by tag, box or plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from simlayer.mesh.mesh import Mesh, MeshError

KINDS = ("tag", "box", "plane")


def select(mesh: Mesh, selection: Mapping[str, Any]) -> Int[Tensor, "_"]:
    """Return the indices of the selected vertices, at least one.

    Args:
        mesh: the body.
        selection: one of `{"tag": name}`, the name of a vertex set or several; `{"box": {"lower": ...,
            "upper": ...}}`, opposite corners [m]; `{"plane": {"point": ..., "normal": ...}}`: vertices on the
            plane or on the side from which the normal points away. The others may be None.

    Raises:
        MeshError: if none or several are given, a tag is unknown, or no vertex is selected.
    """
    given = {kind: value for kind, value in selection.items() if value is not None and kind in KINDS}
    if len(given) != 1:
        raise MeshError(
            f"vertices are selected by exactly one of {', '.join(KINDS)}, got "
            f"{list(given) or 'none of them'}; set the others to null."
        )
    ((kind, value),) = given.items()
    if kind == "tag":
        indices = _tagged(mesh, [value] if isinstance(value, str) else list(value))
    else:
        # A thousandth of a cell, because coordinates in files are rounded.
        tolerance = 1e-3 * float(mesh.volumes.mean()) ** (1 / 3)
        inside = (_in_box if kind == "box" else _behind_plane)(mesh.vertices, value, tolerance)
        indices = inside.nonzero().flatten()
    if not len(indices):
        lower, upper = ([round(x, 6) for x in bound] for bound in mesh.bounds.tolist())
        raise MeshError(
            f"{mesh.source}: no vertex lies in {kind} {value}; the body reaches from {lower} to {upper} m, "
            f"and its tags are {tags(mesh)}."
        )
    return indices


def cells_in_box(mesh: Mesh, selection: Mapping[str, Any]) -> Int[Tensor, "_"]:
    """Return the indices of the cells whose middle lies in a box, at least one.

    Args:
        mesh: the body.
        selection: `{"box": {"lower": ..., "upper": ...}}`, opposite corners [m].

    Raises:
        MeshError: if there is no such cell, or the selection is another one.
    """
    if set(selection) != {"box"}:
        raise MeshError(f"cells are selected by {{box: {{lower: ..., upper: ...}}}}, got {dict(selection)}.")
    middles = mesh.vertices[mesh.cells].mean(1)
    indices = _in_box(middles, selection["box"], 0.0).nonzero().flatten()
    if not len(indices):
        raise MeshError(f"{mesh.source}: the middle of no cell lies in box {selection['box']}.")
    return indices


def parts_of_cells(mesh: Mesh, counts: Sequence[int]) -> Int[Tensor, "M"]:
    """Return the part of each cell, when the box around a body is divided so many times along x, y and z.

    Parts without a cell do not count.
    """
    if len(counts) != 3 or not all(isinstance(count, int) and count > 0 for count in counts):
        raise MeshError(f"parts must be how many along x, y and z, such as [2, 2, 2], got {counts}.")
    lower, upper = mesh.bounds
    number = torch.tensor(counts, device=lower.device)
    place = (mesh.vertices[mesh.cells].mean(1) - lower) / (upper - lower).clamp(min=1e-30)
    along = torch.minimum((place * number).floor().long(), number - 1)
    part = (along[:, 2] * number[1] + along[:, 1]) * number[0] + along[:, 0]
    return part.unique(return_inverse=True)[1]


def tags(mesh: Mesh) -> str:
    """Format the vertex sets of a mesh with their sizes."""
    return ", ".join(f"{name!r} ({len(found)})" for name, found in mesh.vertex_sets.items()) or "none"


def components(names: str) -> Bool[Tensor, "3"]:
    """Return the mask of components named by some of the letters x, y, z."""
    if not names or set(names) - set("xyz"):
        raise MeshError(f"components must be some of the letters x, y, z, got {names!r}.")
    return torch.tensor([letter in names for letter in "xyz"])


def fixed_components(
    mesh: Mesh, selection: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None
) -> Bool[Tensor, "N 3"]:
    """Return what one selection, or each of several, fixes: its `components`, by default all three."""
    fixed = torch.zeros(len(mesh.vertices), 3, dtype=torch.bool)
    for each in selections(selection):
        fixed[select(mesh, each)] |= components(each.get("components", "xyz"))
    return fixed


def selections(given: Any) -> list[Any]:
    """Return one selection, several, or none, as a list."""
    if given is None:
        return []
    return [given] if isinstance(given, Mapping) else list(given)


def _tagged(mesh: Mesh, names: Sequence[str]) -> Int[Tensor, "_"]:
    for name in names:
        if name not in mesh.vertex_sets:
            raise MeshError(f"{mesh.source} has no vertices tagged {name!r}; its tags: {tags(mesh)}.")
    return torch.cat([mesh.vertex_sets[name] for name in names]).unique()


def _in_box(points: Float[Tensor, "N 3"], box: Mapping[str, Any], tolerance: float) -> Bool[Tensor, "N"]:
    lower, upper = _vector(box, "box", "lower"), _vector(box, "box", "upper")
    return ((points >= lower - tolerance) & (points <= upper + tolerance)).all(1)


def _behind_plane(
    points: Float[Tensor, "N 3"], plane: Mapping[str, Any], tolerance: float
) -> Bool[Tensor, "N"]:
    point, normal = _vector(plane, "plane", "point"), _vector(plane, "plane", "normal")
    if not float(normal.norm()) > 0:
        raise MeshError("the normal of a plane must not be zero.")
    return (points - point) @ (normal / normal.norm()) <= tolerance


def _vector(shape: Mapping[str, Any], kind: str, name: str) -> Float[Tensor, "3"]:
    value = shape.get(name)
    if value is None or len(value) != 3:
        raise MeshError(f"a {kind} needs {name}: three numbers, got {value}.")
    return torch.tensor([float(x) for x in value])

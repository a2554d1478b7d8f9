"""Selection of vertices of a mesh by tag, box or plane."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int
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
    # A thousandth of a cell, because coordinates in files are rounded.
    tolerance = 1e-3 * float(mesh.volumes.mean()) ** (1 / 3)
    finders: dict[str, Callable[[Mesh, Any, float], Tensor]]
    finders = {"tag": _tagged, "box": _in_box, "plane": _behind_plane}
    indices = finders[kind](mesh, value, tolerance)
    if not len(indices):
        lower, upper = ([round(x, 6) for x in bound] for bound in mesh.bounds.tolist())
        raise MeshError(
            f"{mesh.source}: no vertex lies in {kind} {value}; the body reaches from {lower} to {upper} m, "
            f"and its tags are {tags(mesh)}."
        )
    return indices


def tags(mesh: Mesh) -> str:
    """Format the vertex sets of a mesh with their sizes."""
    return ", ".join(f"{name!r} ({len(found)})" for name, found in mesh.vertex_sets.items()) or "none"


def components(names: str) -> Bool[Tensor, "3"]:
    """Return the mask of components named by some of the letters x, y, z."""
    if not names or set(names) - set("xyz"):
        raise MeshError(f"components must be some of the letters x, y, z, got {names!r}.")
    return torch.tensor([letter in names for letter in "xyz"])


def fixed_components(mesh: Mesh, selection: Mapping[str, Any] | None) -> Bool[Tensor, "N 3"]:
    """Return which components of which vertices a selection fixes: its `components`, by default all three."""
    fixed = torch.zeros(len(mesh.vertices), 3, dtype=torch.bool)
    if selection is not None:
        fixed[select(mesh, selection)] = components(selection.get("components", "xyz"))
    return fixed


def _tagged(mesh: Mesh, names: str | Sequence[str], tolerance: float) -> Tensor:
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in mesh.vertex_sets:
            raise MeshError(f"{mesh.source} has no vertices tagged {name!r}; its tags: {tags(mesh)}.")
    return torch.cat([mesh.vertex_sets[name] for name in names]).unique()


def _in_box(mesh: Mesh, box: Mapping[str, Sequence[float]], tolerance: float) -> Tensor:
    lower, upper = _point(box, "box", "lower"), _point(box, "box", "upper")
    inside = (mesh.vertices >= lower - tolerance) & (mesh.vertices <= upper + tolerance)
    return inside.all(1).nonzero().flatten()


def _behind_plane(mesh: Mesh, plane: Mapping[str, Sequence[float]], tolerance: float) -> Tensor:
    point, normal = _point(plane, "plane", "point"), _point(plane, "plane", "normal")
    if not float(normal.norm()) > 0:
        raise MeshError("the normal of a plane must not be zero.")
    heights = (mesh.vertices - point) @ (normal / normal.norm())
    return (heights <= tolerance).nonzero().flatten()


def _point(shape: Mapping[str, Sequence[float]], kind: str, name: str) -> Tensor:
    value = shape.get(name)
    if value is None or len(value) != 3:
        raise MeshError(f"a {kind} needs {name}: three numbers, got {value}.")
    return torch.tensor([float(x) for x in value])

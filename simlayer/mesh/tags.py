"""Names in mesh files: which vertices and which cells carry them, whatever the format calls it.

A name on points, lines or faces becomes a set of the vertices they touch; a name on cells a region.

| format | names |
|---|---|
| Gmsh | physical groups; unnamed ones are point_3, curve_3, surface_3, region_3 |
| VTK, VTU, XDMF | data `set:NAME` on points and cells (not 0: member); cell data `region` (numbers) |
| other programs | cell data MaterialIds or CellEntityIds (numbers), if there is none of the others |
| XDMF of dolfinx | tags in a grid of their own: NAME_3 |
| Medit, TetGen | references other than 0, as point_3, curve_3, surface_3, region_3 |
| MED | groups |
| Nastran | properties of elements, as curve_3, surface_3, region_3 |
| Abaqus | node sets, surfaces and element sets |

Numbers and names that could be meant as such, and are not read, are warned of.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path

import meshio
import numpy as np
from jaxtyping import Int

from simlayer.mesh.meshio_files import MESHIO_NAMES

Group = tuple[str, int, np.ndarray]  # name, block of the file, members of that block

SOLIDS = tuple(MESHIO_NAMES.values())
TAGS = ("gmsh:physical", "medit:ref", "tetgen:ref", "nastran:ref", "region")
# What other programs call their regions; read where there is none of the above.
ALIASES = ("MaterialIds", "MaterialIDs", "MaterialID", "CellEntityIds")
MED_GROUPS = {"point_tags", "cell_tags"}
KINDS = ("point", "curve", "surface", "region")
PREFIX = "set:"
MOST_TAGS = 1000


def named_groups(file: meshio.Mesh, path: Path) -> list[Group]:
    """Return the cells under each name, block by block.

    Warns of whole numbers on cells that look like regions and are none, and of names without members.
    """
    groups = list(_groups(file))
    _warn_of_unread(file, path, groups)
    return groups


def vertex_sets(file: meshio.Mesh, groups: list[Group]) -> dict[str, Int[np.ndarray, "_"]]:
    """Return the file indices of the vertices under each name."""
    sets: dict[str, list[np.ndarray]] = {}
    for name, nodes in file.point_sets.items():
        sets.setdefault(name, []).append(np.asarray(nodes))
    for key, values in file.point_data.items():
        if key.startswith(PREFIX):
            sets.setdefault(key[len(PREFIX) :], []).append(np.flatnonzero(values))
        elif key == "point_tags":
            for name, nodes in _med_groups(getattr(file, key, {}), values):
                sets.setdefault(name, []).append(nodes)
        elif key in TAGS:
            for tag, nodes in _members(values, key):
                sets.setdefault(f"point_{tag}", []).append(nodes)
    for name, block, members in groups:
        if file.cells[block].type not in SOLIDS and len(members):
            sets.setdefault(name, []).append(np.asarray(file.cells[block].data)[members].ravel())
    return {name: np.unique(np.concatenate(nodes)).astype(np.int64) for name, nodes in sets.items()}


def cell_regions(file: meshio.Mesh, groups: list[Group]) -> tuple[Int[np.ndarray, "M"], tuple[str, ...]]:
    """Return the region of each cell, and the regions' names; cells without a name are the "body".

    A cell with several names belongs to the one that has the fewest, which is the most specific.
    """
    blocks = [index for index, block in enumerate(file.cells) if block.type in SOLIDS]
    starts = dict(zip(blocks, np.cumsum([0, *(len(file.cells[b]) for b in blocks)]).tolist(), strict=False))
    members: dict[str, list[np.ndarray]] = {}
    for name, block, cells in groups:
        if block in starts and len(cells):
            members.setdefault(name, []).append(cells + starts[block])
    regions = {name: np.unique(np.concatenate(cells)) for name, cells in members.items()}
    count = sum(len(file.cells[block]) for block in blocks)
    return _partition(regions, count)


def _partition(groups: dict[str, np.ndarray], count: int) -> tuple[Int[np.ndarray, "M"], tuple[str, ...]]:
    labels = np.full(count, -1)
    names = list(groups)
    # Of equal groups the first in the file wins, so it comes last: Gmsh adds its own after the user's.
    for name in sorted(reversed(names), key=lambda name: -len(groups[name])):
        labels[groups[name]] = names.index(name)
    if sum(map(len, groups.values())) > np.count_nonzero(labels >= 0):
        warnings.warn(
            f"some cells belong to several of {names}; each counts to the smallest one.", stacklevel=3
        )
    if (labels < 0).any():
        names = ["body", *(name for name in names if name != "body")]
        named = [names.index(name) for name in groups]
        labels = np.array([*named, 0])[labels]
    used, labels = np.unique(labels, return_inverse=True)
    return labels.astype(np.int64).reshape(-1), tuple(names[index] for index in used)


def _groups(file: meshio.Mesh) -> Iterator[Group]:
    for name, blocks in file.cell_sets.items():
        if not name.startswith("gmsh:"):
            for index, members in enumerate(blocks):
                if members is not None and len(members):
                    yield name, index, np.asarray(members, dtype=np.int64)
    tags = [key for key in TAGS if key in file.cell_data] or [key for key in ALIASES if key in file.cell_data]
    for key, blocks in file.cell_data.items():
        for index, values in enumerate(blocks):
            if key.startswith(PREFIX):
                yield key[len(PREFIX) :], index, np.flatnonzero(values)
            elif key == "cell_tags":
                for name, members in _med_groups(getattr(file, key, {}), values):
                    yield name, index, members
            elif key in tags:
                for tag, members in _members(values, key):
                    yield _tag_name(file, tag, file.cells[index].dim), index, members


def _warn_of_unread(file: meshio.Mesh, path: Path, groups: list[Group]) -> None:
    read = {key for key in TAGS if key in file.cell_data} or set(ALIASES)
    for key, blocks in file.cell_data.items():
        if key in read or key in MED_GROUPS or key.startswith((PREFIX, "gmsh:")) or key.endswith(":id"):
            continue
        values = [
            np.ravel(values)
            for block, values in zip(file.cells, blocks, strict=True)
            if block.type in SOLIDS and np.issubdtype(np.asarray(values).dtype, np.integer)
        ]
        different = len(np.unique(np.concatenate(values))) if values else 0
        if 1 < different <= min(MOST_TAGS, sum(map(len, values)) // 2):
            warnings.warn(
                f"{path}: cell data {key!r} hold {different} different whole numbers; if they are regions, "
                "call them 'region'.",
                stacklevel=4,
            )
    names = {name for name, entry in file.field_data.items() if np.size(entry) == 2}
    if empty := names - {name for name, _, members in groups if len(members)}:
        warnings.warn(
            f"{path}: no point or cell is in the groups {sorted(empty)}. (Gmsh's format 2.2 leaves them "
            "out with Mesh.SaveAll = 1: save as 4.1, or the groups only.)",
            stacklevel=4,
        )


def _med_groups(groups: dict[np.int64, list[str]], values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    for tag, names in groups.items():
        for name in names:
            yield name, np.flatnonzero(np.asarray(values) == tag)


def _members(values: np.ndarray, key: str) -> Iterator[tuple[int, np.ndarray]]:
    # Gmsh marks a reversed orientation by a negative number; 0 is no name in all formats.
    values = np.abs(np.asarray(values))
    tags = np.unique(values)
    if values.ndim != 1 or not np.array_equal(tags, np.round(tags)):
        warnings.warn(f"{key!r} does not hold one whole number each, and names nothing.", stacklevel=3)
    elif len(tags) > MOST_TAGS:
        warnings.warn(f"{key!r} has {len(tags)} different numbers, and names nothing.", stacklevel=3)
    else:
        yield from ((int(tag), np.flatnonzero(values == tag)) for tag in tags if tag != 0)


def _tag_name(file: meshio.Mesh, tag: int, dimension: int) -> str:
    for name, entry in file.field_data.items():
        if np.size(entry) == 2 and tuple(np.ravel(entry)) == (tag, dimension):
            return name
    return f"{KINDS[dimension]}_{tag}"

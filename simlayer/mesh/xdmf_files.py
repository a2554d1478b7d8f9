"""XDMF files with tags in grids of their own, as dolfinx writes them."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import meshio
import numpy as np
from jaxtyping import Int

MOST_TAGS = 1000


def read_xdmf(path: Path) -> meshio.Mesh:
    """Read the first grid of a file; the others are tags on its cells or on their faces, edges and corners.

    A tag 3 in a grid called NAME becomes the set NAME_3. Grids that are neither are named in a warning.
    """
    root = ElementTree.parse(path).getroot()
    domain = root.find("Domain")
    grids = [] if domain is None else domain.findall("Grid")
    if len(grids) < 2:
        return meshio.read(path)
    file = _read(path, root, grids[0])
    for grid in grids[1:]:
        uniform = grid.get("GridType", "Uniform") == "Uniform" and grid.find("Topology") is not None
        if not uniform or not _add_tags(file, _read(path, root, grid, points=False)):
            name = grid.get("Name", "")
            warnings.warn(f"{path}: ignored the grid {name!r}, which has no tags of the mesh.", stacklevel=4)
    return file


def _read(
    path: Path, root: ElementTree.Element, grid: ElementTree.Element, *, points: bool = True
) -> meshio.Mesh:
    """Read one grid as if it were the only one; without points where it refers to those of another."""
    alone = ElementTree.Element(root.tag, root.attrib)
    kept = ElementTree.SubElement(ElementTree.SubElement(alone, "Domain"), "Grid", grid.attrib)
    kept.extend(child for child in grid if child.tag in ("Topology", "Attribute", *["Geometry"] * points))
    if not points:
        kept.append(ElementTree.fromstring(_NO_POINTS))
    reader = meshio.xdmf.main.XdmfReader(path)
    read = reader.read_xdmf2 if root.get("Version", "3").startswith("2") else reader.read_xdmf3
    return read(alone)


_NO_POINTS = (
    """<Geometry GeometryType="XYZ"><DataItem Dimensions="0 3" Format="XML"> </DataItem></Geometry>"""
)


def _add_tags(file: meshio.Mesh, tags: meshio.Mesh) -> bool:
    """Add sets of cells to the file, one per grid and tag; return whether there are any."""
    fields = {
        name: [np.asarray(values).ravel() for values in blocks]
        for name, blocks in tags.cell_data.items()
        if all(np.issubdtype(np.asarray(values).dtype, np.integer) for values in blocks)
    }
    if not fields or any(len(np.unique(np.concatenate(blocks))) > MOST_TAGS for blocks in fields.values()):
        return False
    found = [_place(file, block) for block in tags.cells]
    places = [place for place in found if place is not None]
    if len(places) < len(found):
        return False
    for name, blocks in fields.items():
        for tag in np.unique(np.concatenate(blocks)).tolist():
            members: list[list[np.ndarray]] = [[] for _ in file.cells]
            for (block, rows), values in zip(places, blocks, strict=True):
                members[block].append(rows[values == tag])
            file.cell_sets[f"{name}_{tag}"] = [
                np.concatenate([np.empty(0, dtype=np.int64), *parts]) for parts in members
            ]
    return True


def _place(file: meshio.Mesh, tagged: meshio.CellBlock) -> tuple[int, Int[np.ndarray, "K"]] | None:
    """Return the block of the file with these cells, and their rows there; faces and edges become a block."""
    for index, block in enumerate(file.cells):
        if block.type == tagged.type:
            rows = {key: row for row, key in enumerate(_keys(block.data))}
            found = [rows.get(key, -1) for key in _keys(tagged.data)]
            if -1 not in found:
                return index, np.array(found, dtype=np.int64)
    if tagged.dim == 3:
        return None
    file.cells.append(tagged)
    for sets in file.cell_sets.values():
        sets.append(np.empty(0, dtype=np.int64))
    for blocks in file.cell_data.values():
        blocks.append(np.zeros((len(tagged), *np.shape(blocks[0])[1:]), dtype=np.asarray(blocks[0]).dtype))
    return len(file.cells) - 1, np.arange(len(tagged))


def _keys(cells: Sequence[Sequence[int]] | np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(row) for row in np.sort(np.asarray(cells), 1).tolist()]

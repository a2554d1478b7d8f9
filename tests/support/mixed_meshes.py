"""Files of hexahedra, wedges, pyramids and tetrahedra together, linear and quadratic, for tests to write."""

import meshio
import numpy as np

from simlayer.mesh.cell_shapes import CELL_SHAPES
from simlayer.mesh.vtk_files import all_cells

SIZE = (0.4, 0.3, 0.3)
QUADRATIC = {"tetra": "tetra10", "pyramid": "pyramid13", "wedge": "wedge15", "hexahedron": "hexahedron20"}
REGIONS = {"hexahedron": 1, "pyramid": 2, "wedge": 3, "tetra": 4}


def mixed(*, quadratic=False, seed=0, shaken=0.1):
    """A box of all kinds of cells in random order, its inner vertices shaken by a part of an edge.

    Regions are kinds, and the set `root` is the side x = 0.
    """
    rng = np.random.default_rng(seed)
    points, cells = _cells()
    inside = ((points > 1e-9) & (points < np.array(SIZE) - 1e-9)).all(1)
    points[inside] += shaken * 0.1 * rng.uniform(-1, 1, (inside.sum(), 3))
    if quadratic:
        points, cells = _quadratic(points, cells, rng, shaken)
    order = rng.permutation(len(points))
    places = np.empty_like(points)
    places[order] = points
    blocks = [(kind, order[rng.permutation(np.array(rows))]) for kind, rows in cells.items()]
    regions = [np.full(len(rows), REGIONS[kind.rstrip("0123456789")]) for kind, rows in blocks]
    with all_cells():
        return meshio.Mesh(
            places,
            blocks,
            cell_data={"region": regions},
            point_data={"set:root": (places[:, 0] < 1e-9).astype(np.int32)},
        )


def _cells():
    """Four slices along x: hexahedra, pyramids (one of each six two tetrahedra), hexahedra, wedges."""
    nx, ny, nz = 4, 3, 3
    grid = np.stack(np.meshgrid(*(np.arange(n + 1) for n in (nx, ny, nz)), indexing="ij"), -1).reshape(-1, 3)
    points = list(grid * 0.1)
    cells = {"hexahedron": [], "pyramid": [], "tetra": [], "wedge": []}
    steps = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)]
    for i, j, k in np.ndindex(nx, ny, nz):
        cube = [((i + a) * (ny + 1) + j + b) * (nz + 1) + k + c for a, b, c in steps]
        if i == 1:
            points.append((np.array([i, j, k]) + 0.5) * 0.1)
            for face in CELL_SHAPES["hexahedron"].faces:
                a, b, c, d = (cube[n] for n in face)
                if face == (0, 1, 5, 4) and j == 0:  # on the surface, so that any diagonal fits
                    cells["tetra"] += [[a, c, b, len(points) - 1], [a, d, c, len(points) - 1]]
                else:
                    cells["pyramid"].append([a, d, c, b, len(points) - 1])
        elif i == 3:
            a, b, c, d, e, f, g, h = cube
            cells["wedge"] += [[a, b, c, e, f, g], [a, c, d, e, g, h]]
        else:
            cells["hexahedron"].append(cube)
    return np.array(points), cells


def _quadratic(points, cells, rng, shaken):
    middles, places, found = {}, list(points), {}
    for kind, rows in cells.items():
        found[QUADRATIC[kind]] = [[*row, *_middles(row, kind, middles, places)] for row in rows]
    places = np.array(places)
    new = np.arange(len(places)) >= len(points)
    inside = ((places > 1e-9) & (places < np.array(SIZE) - 1e-9)).all(1)
    places[inside & new] += 0.2 * shaken * 0.1 * rng.uniform(-1, 1, ((inside & new).sum(), 3))
    return places, found


def _middles(row, kind, middles, places):
    nodes = []
    for a, b, *_ in CELL_SHAPES[kind].edges:
        key = frozenset((row[a], row[b]))
        if key not in middles:
            middles[key] = len(places)
            places.append((places[row[a]] + places[row[b]]) / 2)
        nodes.append(middles[key])
    return nodes

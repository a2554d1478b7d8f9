"""Mesh files for the tests to write: a beam in random order, with named ends."""

import meshio
import numpy as np
import torch
from support.meshes import wavy

from simlayer.mesh.meshio_files import MESHIO_NAMES
from simlayer.mesh.primitives import box_mesh

BEAM, CLAMPED, TIP = 1, 2, 3


def shuffled(seed=0):
    """A beam in random order as a meshio mesh: two tetra blocks, tagged ends, as Gmsh has it."""
    box = box_mesh(cells=(5, 2, 2), size=(0.5, 0.2, 0.2))
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(box.vertices))
    points = np.empty((len(order), 3))
    points[order] = box.vertices.double().numpy()
    cells = order[box.cells.numpy()][rng.permutation(len(box.cells))]
    blocks = [("tetra", cells[:50]), ("triangle", None), ("tetra", cells[50:]), ("triangle", None)]
    surface = order[box.boundary.numpy()]
    for index, side in ((1, 0.0), (3, 0.5)):
        blocks[index] = ("triangle", surface[(points[surface][:, :, 0] == side).all(1)])
    tags = [
        np.full(len(data), tag) for (_, data), tag in zip(blocks, (BEAM, CLAMPED, BEAM, TIP), strict=True)
    ]
    names = {"beam": np.array([BEAM, 3]), "clamped": np.array([CLAMPED, 2]), "tip": np.array([TIP, 2])}
    return meshio.Mesh(points, blocks, cell_data={"gmsh:physical": tags}, field_data=names)


def solid(element, *, seed=0):
    """A box with wavy sides of any element, in random order, as a meshio mesh."""
    box = wavy(element)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(box.vertices))
    points = np.empty((len(order), 3))
    points[order] = box.vertices.double().numpy()
    cells = order[box.cells.numpy()][rng.permutation(len(box.cells))]
    return meshio.Mesh(points, {MESHIO_NAMES[element]: cells})


def bare(file):
    """Only the tetrahedra, in one block."""
    return meshio.Mesh(file.points, {"tetra": file.get_cells_type("tetra")})


def assert_same_body(mesh, file):
    """The mesh is the file's, vertex for vertex and cell for cell."""
    cells = file.get_cells_type("tetra")
    assert np.array_equal(np.sort(mesh.file_index[mesh.cells], 1), np.sort(cells, 1))
    assert torch.equal(mesh.file_index, mesh.file_index.sort().values)
    vertices = torch.from_numpy(np.asarray(file.points)).to(mesh.vertices.dtype)
    assert torch.equal(mesh.vertices, vertices[mesh.file_index])


def at(mesh, name):
    """Sorted positions of a vertex set."""
    return sorted(map(tuple, mesh.vertices[mesh.vertex_sets[name]].tolist()))


def ends(file, side):
    points = torch.from_numpy(file.points).to(torch.get_default_dtype())
    return sorted(map(tuple, points[points[:, 0] == side].tolist()))


def gmsh_41(path, file, *, ungrouped=()):
    """Write ASCII 4.1 as Gmsh itself does: entities, sparse node tags, a point that no element uses."""
    order, kinds = list(range(len(file.cells))), {"triangle": (2, 2), "tetra": (3, 4)}
    dims = [kinds[file.cells[k].type] for k in order]
    tags = [int(file.cell_data["gmsh:physical"][k][0]) for k in order]
    entities = [f"1 0 {sum(d == 2 for d, _ in dims)} {sum(d == 3 for d, _ in dims)}", "9 0 0 0 0"]
    for dim in (2, 3):
        for k in order:
            groups = "0" if k in ungrouped else f"1 {tags[k]}"
            entities += [f"{k + 1} 0 0 0 1 1 1 {groups} 0"] * (dims[k][0] == dim)
    numbers = 10 + 3 * np.arange(len(file.points))
    nodes = [f"2 {len(numbers) + 1} 5 {numbers.max()}", "0 9 0 1", "5", "7 7 7", f"3 1 0 {len(numbers)}"]
    nodes += [*map(str, numbers), *(" ".join(map(repr, point)) for point in file.points.tolist())]
    elements = [f"{len(order)} {sum(map(len, file.cells))} 1 999"]
    for k in order:
        elements.append(f"{dims[k][0]} {k + 1} {dims[k][1]} {len(file.cells[k])}")
        elements += [" ".join(map(str, [1, *numbers[row]])) for row in file.cells[k].data]
    names = [f'{dim} {tag} "{name}"' for name, (tag, dim) in file.field_data.items()]
    sections = {"MeshFormat": ["4.1 0 8"], "PhysicalNames": [str(len(names)), *names], "Entities": entities}
    sections |= {"Nodes": nodes, "Elements": elements}
    path.write_text("".join("\n".join([f"${k}", *v, f"$End{k}", ""]) for k, v in sections.items()))

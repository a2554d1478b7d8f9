"""Motions that strain no quadrature point, against the kernel of the stiffness."""

import pytest
import torch
from support.meshes import ELEMENTS, twisted, wavy

from simlayer import Mesh, box_mesh
from simlayer.fem.finite_elements import FiniteElements
from simlayer.fem.hourglass import hourglass_faces
from simlayer.mesh.selection import fixed_components
from simlayer.solvers.block_matrix import Assembly

pytestmark = pytest.mark.usefixtures("float64_throughout")

RULES = [(element, "full") for element in ELEMENTS] + [("tet10", "reduced"), ("hex20", "reduced")]


def eigenvalues(elements, free):
    """Those of the stiffness to strains, whatever their kind, of what is free, relative to the largest."""
    unit = torch.eye(9)
    transposed = unit.view(3, 3, 9).transpose(0, 1).reshape(9, 9)
    tangent = ((unit + transposed) / 2).expand(*elements.weights.shape, 9, 9)
    matrix = Assembly([elements.connectivity], free)([elements.stiffness_blocks(tangent)[None]], 1)
    moves = free.flatten().nonzero().flatten().numpy()
    values = torch.linalg.eigvalsh(torch.from_numpy(matrix.to_scipy(0).toarray()[moves][:, moves]))
    return values / values[-1]


def cubes(places):
    """Unit cubes at whole places, one hex20 each."""
    size = tuple(max(place[k] for place in places) + 1 for k in range(3))
    box = box_mesh(cells=size, size=tuple(map(float, size)), element="hex20")
    centers = box.vertices[box.cells[:, :8]].mean(1)
    kept = torch.stack([((centers - torch.tensor(place) - 0.5).abs().amax(1) < 0.1) for place in places])
    used, cells = box.cells[kept.any(0)].unique(return_inverse=True)
    return Mesh(box.vertices[used], cells)


SHAPES = {
    "cell": [(0, 0, 0)],
    "bar of 2": [(0, 0, 0), (1, 0, 0)],
    "bar of 4": [(k, 0, 0) for k in range(4)],
    "plate": [(x, y, 0) for x in range(2) for y in range(2)],
    "corner": [(0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 1, 0), (0, 2, 0)],
    "stairs": [(0, 0, 0), (1, 0, 0), (1, 1, 0), (2, 1, 0), (2, 2, 0)],
    "ring": [(x, y, 0) for x in range(3) for y in range(3) if (x, y) != (1, 1)],
    "cross": [(0, 0, 0), (1, 0, 0), (2, 0, 0), (1, 0, 1), (1, 1, 0)],
    "block with a tip": [(x, y, z) for x in range(2) for y in range(2) for z in range(2)] + [(2, 0, 0)],
}
HELD = {
    "nothing": lambda x: x[:, 0] < -1,
    "the start": lambda x: x[:, 0] < 1e-9,
    "both ends": lambda x: (x[:, 0] < 1e-9) | (x[:, 0] > x[:, 0].max() - 1e-9),
    "the bottom": lambda x: x[:, 2] < 1e-9,
}


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("shape", SHAPES)
def test_there_are_as_many_faces_as_motions_without_strain_that_are_not_rigid(shape, held):
    mesh = cubes(SHAPES[shape])
    elements = FiniteElements(mesh, quadrature="reduced")
    free = (~HELD[held](mesh.vertices))[:, None].expand(-1, 3).double()
    rigid = 6 if held == "nothing" else 0
    # The softest motion with a strain has 1e-5 of the stiffest.
    count = int((eigenvalues(elements, free) < 1e-9).sum()) - rigid
    assert len(hourglass_faces(elements, free)) == count


@pytest.mark.parametrize("cells", [(2, 2, 2), (3, 2, 1), (2, 1, 1)], ids=str)
@pytest.mark.parametrize("make", [wavy, twisted], ids=["wavy", "twisted"])
@pytest.mark.parametrize(("element", "quadrature"), RULES)
def test_only_bars_of_reduced_hex20_have_any_much_softer_than_the_rest(element, quadrature, make, cells):
    mesh = make(element, cells=cells)
    elements = FiniteElements(mesh, quadrature=quadrature)
    thin = (element, quadrature) == ("hex20", "reduced") and cells == (2, 1, 1)
    for fixed, rigid in ((None, 6), ("x_min", 0)):
        free = (~fixed_components(mesh, fixed)).double()
        count = len(hourglass_faces(elements, free))
        # One for each of the three cross-sections, if it is not held.
        assert count == (0 if not thin else 3 if fixed is None else 2)
        values = eigenvalues(elements, free)[rigid:]
        assert bool((values[:count] < 0.1 * values[count]).all())
        # All other motions of these bodies have more.
        assert float(values[count]) > 1e-4

"""Files of several kinds of cells: the same body in tetrahedra that fit together, with the same names."""

import re

import meshio
import numpy as np
import pytest
import torch
from support.mixed_meshes import QUADRATIC, REGIONS, SIZE, mixed

from simlayer import MeshError, read_mesh
from simlayer.elements.types import ELEMENT_TYPES
from simlayer.mesh.faces import boundary_faces_and_owners, shared_faces
from simlayer.mesh.vtk_files import all_cells

pytestmark = pytest.mark.filterwarnings("ignore:.*may be cut short")
orders = pytest.mark.parametrize("quadratic", [False, True], ids=["linear", "quadratic"])
VOLUME = float(np.prod(SIZE))
SURFACE = 2 * (SIZE[0] * SIZE[1] + SIZE[1] * SIZE[2] + SIZE[2] * SIZE[0])


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def write(path, file):
    with all_cells():
        file.write(path, file_format="gmsh22" if path.suffix == ".msh" else None)


def area(mesh):
    corners = mesh.vertices[boundary_faces_and_owners(mesh.cells, len(mesh.vertices))[0][:, :3]]
    a, b, c = corners.unbind(1)
    return float(torch.linalg.cross(b - a, c - a).norm(dim=-1).sum() / 2)


@orders
@pytest.mark.parametrize("seed", range(5))
def test_cells_of_all_kinds_become_tetrahedra_that_fill_the_same_body_without_gaps(tmp_path, quadratic, seed):
    write(tmp_path / "b.vtu", mixed(quadratic=quadratic, seed=seed))
    mesh = read_mesh(tmp_path / "b.vtu", tetrahedra=True)
    assert mesh.element == ("tet10" if quadratic else "tet4")
    # 18 hexahedra, 51 pyramids, 6 tetrahedra and 18 wedges.
    assert len(mesh.cells) == 6 * 18 + 2 * 51 + 6 + 3 * 18
    assert float(mesh.volume) == pytest.approx(VOLUME, rel=1e-13)
    # A face that two neighbours cut differently would be on the surface of both.
    assert area(mesh) == pytest.approx(SURFACE, rel=1e-13)
    owners, _ = shared_faces(mesh.cells, len(mesh.vertices))
    assert set(owners.unique().tolist()) == {1, 2}


@orders
def test_regions_keep_their_volumes_and_sets_their_places(tmp_path, quadratic):
    write(tmp_path / "b.vtu", mixed(quadratic=quadratic, shaken=0.0))
    mesh = read_mesh(tmp_path / "b.vtu", tetrahedra=True)
    volumes = {
        name: float(mesh.volumes[mesh.cell_regions == index].sum())
        for index, name in enumerate(mesh.region_names)
    }
    expected = {"hexahedron": 18, "pyramid": 8.5, "tetra": 0.5, "wedge": 9}
    assert volumes == pytest.approx(
        {f"region_{REGIONS[kind]}": 1e-3 * count for kind, count in expected.items()}, rel=1e-12
    )
    root = (mesh.vertices[:, 0] < 1e-9).nonzero().flatten()
    assert torch.equal(mesh.vertex_sets["root"], root)
    # Quadratic ones have one in the middle of each of the nine faces there, where diagonals are.
    assert len(root) == (4 * 4 + 2 * 12 + 9 if quadratic else 16)


@orders
def test_a_mixture_is_cut_with_a_note_that_an_argument_answers(tmp_path, quadratic):
    write(tmp_path / "b.vtu", mixed(quadratic=quadratic))
    with pytest.warns(UserWarning, match="are cut into tetrahedra, tet") as caught:
        mesh = read_mesh(tmp_path / "b.vtu")
    assert ("stiff in bending" in str(caught[0].message)) != quadratic
    assert torch.equal(mesh.cells, read_mesh(tmp_path / "b.vtu", tetrahedra=True).cells)


@pytest.mark.parametrize("name", ["b.msh", "b.vtk", "b.xdmf", "b.med", "b.bdf", "b.inp", "b.mesh"])
@orders
@pytest.mark.filterwarnings("ignore:.*dropped nodes")
def test_every_format_gives_the_same_tetrahedra(tmp_path, name, quadratic):
    if quadratic and name in ("b.mesh", "b.xdmf"):
        pytest.skip("meshio has linear wedges only in Medit, and linear cells in mixed XDMF")
    file = mixed(quadratic=quadratic)
    if quadratic and name == "b.inp":  # which has no quadratic pyramids
        file = meshio.Mesh(file.points, [block for block in file.cells if "wedge" in block.type])
    write(tmp_path / "b.vtu", file)
    expected = read_mesh(tmp_path / "b.vtu", tetrahedra=True)
    if name == "b.inp":
        write_abaqus(tmp_path / name, file)
    else:
        file.cell_data, file.point_data = {}, {}
        write(tmp_path / name, file)
    mesh = read_mesh(tmp_path / name, tetrahedra=True)
    torch.testing.assert_close(mesh.vertices, expected.vertices, rtol=1e-6, atol=1e-7)
    assert torch.equal(mesh.cells.sort(1).values.unique(dim=0), expected.cells.sort(1).values.unique(dim=0))


@orders
def test_physical_groups_of_gmsh_name_the_same_regions_and_surfaces(tmp_path, quadratic):
    file = mixed(quadratic=quadratic, shaken=0.0)
    hexahedra = next(block for block in file.cells if "hexahedron" in block.type)
    # The face x = 0 of those that have it, with the middles of its sides.
    face = [0, 4, 7, 3, 16, 15, 19, 11][: 8 if quadratic else 4]
    quads = hexahedra.data[:, face]
    quads = quads[(file.points[quads][:, :, 0] < 1e-9).all(1)]
    assert len(quads) == 9
    with all_cells():
        blocks = [*file.cells, meshio.CellBlock("quad8" if quadratic else "quad", quads)]
        tags = [*file.cell_data["region"], np.full(9, 5)]
        names = {"root": np.array([5, 2]), "wedges": np.array([REGIONS["wedge"], 3])}
        grouped = meshio.Mesh(file.points, blocks, cell_data={"gmsh:physical": tags}, field_data=names)
        grouped.cell_data["gmsh:geometrical"] = [values.copy() for values in tags]
    write(tmp_path / "b.msh", grouped)
    mesh = read_mesh(tmp_path / "b.msh", tetrahedra=True)
    assert set(mesh.region_names) == {"region_1", "region_2", "wedges", "region_4"}
    wedges = mesh.cell_regions == mesh.region_names.index("wedges")
    assert float(mesh.volumes[wedges].sum()) == pytest.approx(9e-3)
    root = (mesh.vertices[:, 0] < 1e-9).nonzero().flatten()
    assert torch.equal(mesh.vertex_sets["root"], root)


def write_abaqus(path, file, *, more=()):
    lines = ["*NODE", *(f"{k}, {x!r}, {y!r}, {z!r}" for k, (x, y, z) in enumerate(file.points.tolist(), 1))]
    number = 1
    for block in file.cells:
        lines.append(f"*ELEMENT, TYPE=C3D{block.data.shape[1]}, ELSET={block.type}")
        for row in block.data.tolist():
            texts = [str(number), *(str(node + 1) for node in row)]
            lines += [
                ", ".join(texts[k : k + 8]) + "," * (k + 8 < len(texts)) for k in range(0, len(texts), 8)
            ]
            number += 1
    path.write_text("\n".join([*lines, *more, "** end", ""]))


def test_surfaces_of_abaqus_decks_name_the_nodes_of_faces_of_wedges_and_pyramids(tmp_path):
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [0.5, 0.5, -1.0]])
    # A wedge with its triangles at y = 0 and y = 1 needs two more corners.
    points = np.concatenate([points, [[0, 1, 1.0], [1, 1, 1.0]]])
    blocks = [("wedge", np.array([[0, 1, 4, 3, 2, 7]])), ("pyramid", np.array([[0, 1, 2, 3, 6]]))]
    more = ["*SURFACE, NAME=SIDES", "wedge, S1", "*SURFACE, NAME=BASE", "pyramid, S1", "*SURFACE, NAME=SLOPE"]
    write_abaqus(tmp_path / "b.inp", meshio.Mesh(points, blocks), more=[*more, "pyramid, S2", "wedge, S5"])
    with pytest.warns(UserWarning, match="dropped nodes"):
        mesh = read_mesh(tmp_path / "b.inp", tetrahedra=True)
    ids = {name: mesh.vertex_ids[found].tolist() for name, found in mesh.vertex_sets.items()}
    assert ids == {"SIDES": [1, 2, 5], "BASE": [1, 2, 3, 4], "SLOPE": [1, 2, 4, 5, 7, 8]}
    assert mesh.region_names == ("wedge", "pyramid")


@pytest.mark.filterwarnings("ignore:.*(in 2 pieces|dropped nodes)")
def test_hexahedra_stay_unless_tetrahedra_are_wanted(tmp_path):
    file = mixed()
    meshio.Mesh(file.points, file.cells[:1]).write(tmp_path / "b.vtu")
    whole = read_mesh(tmp_path / "b.vtu")
    cut = read_mesh(tmp_path / "b.vtu", tetrahedra=True)
    assert (whole.element, cut.element) == ("hex8", "tet4")
    assert torch.equal(whole.vertices, cut.vertices)
    assert len(cut.cells) == 6 * len(whole.cells)


def test_nodes_that_become_one_choose_one_diagonal(tmp_path):
    # Two cubes with nodes of their own, numbered so that each for itself would take the other diagonal.
    corners = np.array(ELEMENT_TYPES["hex8"].linear.nodes)
    points = np.concatenate([corners, corners + np.array([1, 0, 0])])
    first, second = [4, 1, 2, 3, 0, 5, 6, 7], [11, 9, 10, 8, 12, 13, 14, 15]
    places = np.empty_like(points)
    places[[*first, *second]] = points
    meshio.Mesh(places, {"hexahedron": np.array([first, second])}).write(tmp_path / "b.vtu")
    mesh = read_mesh(tmp_path / "b.vtu", tetrahedra=True, merge=1e-6)
    assert len(mesh.vertices) == 12
    assert area(mesh) == pytest.approx(10.0)


@pytest.mark.parametrize("kind", ["wedge18", "pyramid14", "hexahedron27"])
def test_middles_of_faces_in_gmsh_files_are_where_the_diagonals_cross(tmp_path, kind):
    # Gmsh's own order of nodes, from its manual ("Node ordering").
    orders = {
        "wedge18": (13, 6, [(0, 1), (0, 2), (0, 3), (1, 2), (1, 4), (2, 5), (3, 4), (3, 5), (4, 5)],
                    [(0, 1, 4, 3), (0, 3, 5, 2), (1, 2, 5, 4)]),
        "pyramid14": (14, 5, [(0, 1), (0, 3), (0, 4), (1, 2), (1, 4), (2, 3), (2, 4), (3, 4)],
                      [(0, 1, 2, 3)]),
        "hexahedron27": (12, 8, [(0, 1), (0, 3), (0, 4), (1, 2), (1, 5), (2, 3), (2, 6), (3, 7), (4, 5),
                                 (4, 7), (5, 6), (6, 7)],
                         [(0, 3, 2, 1), (0, 1, 5, 4), (0, 4, 7, 3), (1, 2, 6, 5), (2, 3, 7, 6),
                          (4, 5, 6, 7), tuple(range(8))]),
    }  # fmt: skip
    number, count, edges, faces = orders[kind]
    corners = {
        6: [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 1]],
        5: [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, 1]],
        8: ELEMENT_TYPES["hex8"].linear.nodes,
    }[count]
    points = np.array(corners, dtype=float)
    points = np.array([*points, *(points[list(nodes)].mean(0) for nodes in (*edges, *faces))])
    nodes = [f"{k + 1} {x} {y} {z}" for k, (x, y, z) in enumerate(points)]
    cell = " ".join(map(str, [1, number, 2, 1, 1, *range(1, len(points) + 1)]))
    lines = ["$MeshFormat", "2.2 0 8", "$EndMeshFormat", "$Nodes", str(len(points)), *nodes, "$EndNodes"]
    (tmp_path / "one.msh").write_text("\n".join([*lines, "$Elements", "1", cell, "$EndElements", ""]))
    with pytest.warns(UserWarning, match=f"its cells, 1 {kind}, are cut into tetrahedra, tet10"):
        mesh = read_mesh(tmp_path / "one.msh")
    middles = mesh.vertices[mesh.cells]
    ends = torch.tensor([(0, 1), (1, 2), (2, 0), (0, 3), (1, 3), (2, 3)])
    assert torch.equal(middles[:, 4:], middles[:, ends].mean(2))
    assert len(mesh.file_vertices) == len(points)  # no node is new
    volumes = {5: 1 / 3, 6: 1 / 2, 8: 1.0}
    assert float(mesh.volume) == pytest.approx(volumes[count], rel=1e-14)


def test_linear_and_quadratic_cells_together_and_others_are_refused(tmp_path):
    file, curved = mixed(), mixed(quadratic=True)
    both = meshio.Mesh(curved.points, [("wedge", file.cells[3].data), *curved.cells[:1]])
    both.write(tmp_path / "b.vtu")
    with pytest.raises(MeshError, match=re.escape("all linear (tetra, pyramid") + ".*got 18 wedge, 18 hex"):
        read_mesh(tmp_path / "b.vtu")


def test_a_folded_cell_is_named_by_its_own_number(tmp_path):
    file = mixed(shaken=0.0)
    kinds = [block.type for block in file.cells]
    wedge = file.cells[kinds.index("wedge")].data[4]
    file.points[wedge[0]] = file.points[wedge[[3, 4, 5]]].mean(0) * 2 - file.points[wedge[0]]
    file.cell_data["GlobalElementId"] = list(np.split(100 + np.arange(93), [18, 69, 75]))
    file.write(tmp_path / "b.vtu")
    with pytest.raises(MeshError, match=r"inside out in cells .*179"):
        read_mesh(tmp_path / "b.vtu", tetrahedra=True)


def test_the_kinds_of_the_tests_are_all_that_are_cut():
    assert {block.type for block in mixed().cells} == set(QUADRATIC)

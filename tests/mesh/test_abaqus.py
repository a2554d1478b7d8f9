"""Abaqus decks: the body, sets and instances are those of the deck, or an error names the line."""

import re
import warnings

import pytest
import torch
from support.mesh_files import at, solid
from support.meshes import ELEMENTS

from simlayer.elements.types import ELEMENT_TYPES
from simlayer.mesh.mesh import MeshError
from simlayer.mesh.reading import read_mesh

TYPES = {
    "tet4": ("C3D4", "c3d4", "C3D4H", "DC3D4"),
    "tet10": ("C3D10", "C3D10H", "C3D10M", "C3D10MH", "c3d10hs"),
    "hex8": ("C3D8", "C3D8R", "C3D8H", "C3D8RH", "C3D8I", "C3D8IH", "c3d8rht"),
    "hex20": ("C3D20", "C3D20R", "C3D20H", "C3D20RH", "c3d20r"),
}
# Two tetrahedra on a common face, of volume 1/6 and 1/3.
NODES = "*NODE\n1, 0, 0, 0\n2, 1, 0, 0\n3, 0, 1, 0\n4, 0, 0, 1\n5, 1, 1, 1\n"
CELLS = "*ELEMENT, TYPE=C3D4, ELSET=BOTH\n10, 1, 2, 3, 4\n20, 2, 3, 4, 5\n"
END = "** end\n"
CUBE = "*NODE\n" + "".join(
    f"{1 + x + 2 * y + 4 * z}, {x}, {y}, {z}\n" for z in (0, 1) for y in (0, 1) for x in (0, 1)
)
BRICK = "*ELEMENT, TYPE=C3D8R\n1, 1, 2, 4, 3, 5, 6, 8, 7\n"

# The planes of the faces S1, S2, ... as the manual numbers them by their corners: 1-2-3, 1-4-2, 2-4-3, 3-4-1
# of tetrahedra, 1-2-3-4, 5-8-7-6, 1-5-6-2, 2-6-7-3, 3-7-8-4, 4-8-5-1 of hexahedra.
TETRAHEDRON = (
    lambda x, y, z: z == 0,
    lambda x, y, z: y == 0,
    lambda x, y, z: x + y + z == 1,
    lambda x, y, z: x == 0,
)
HEXAHEDRON = (
    lambda x, y, z: z == 0,
    lambda x, y, z: z == 1,
    lambda x, y, z: y == 0,
    lambda x, y, z: x == 1,
    lambda x, y, z: y == 1,
    lambda x, y, z: x == 0,
)


def read(tmp_path, text, **options):
    (tmp_path / "deck.inp").write_text(text)
    return read_mesh(tmp_path / "deck.inp", **options)


@pytest.mark.parametrize(("element", "kind"), [(e, kind) for e in ELEMENTS for kind in TYPES[e]])
def test_curved_cells_of_every_solid_type_have_their_volume(tmp_path, element, kind):
    file = solid(element)
    nodes = "".join(f"{5 * k + 7}, {x!r}, {y!r}, {z!r}\n" for k, (x, y, z) in enumerate(file.points.tolist()))
    rows = ""
    for number, cell in enumerate((5 * file.cells[0].data + 7).tolist()):
        # As Abaqus writes it: at most 16 numbers in a line.
        fields = [number + 3, *cell]
        rows += (
            ", ".join(map(str, fields[:16]))
            + (",\n" + ", ".join(map(str, fields[16:]))) * (len(fields) > 16)
            + "\n"
        )
    mesh = read(tmp_path, f"*Heading\n*node\n{nodes}*Element, type={kind}\n{rows}{END}")
    file.write(tmp_path / "same.vtu")
    same = read_mesh(tmp_path / "same.vtu")
    assert mesh.element == element
    assert torch.equal(mesh.cells, same.cells)
    assert torch.equal(mesh.volumes, same.volumes)


def test_comments_blank_lines_and_commas_at_the_end_change_nothing(tmp_path):
    text = (
        "** a comment\n"
        + NODES.replace("\n3,", "\n** between\n\n3,")
        + CELLS.replace("\n20", "\n** here\n20")
    )
    mesh = read(tmp_path, text.replace("4\n", "4,\n") + END)
    assert mesh.volume.item() == pytest.approx(0.5)
    assert mesh.region_names == ("BOTH",)


def test_a_keyword_goes_on_in_the_next_line_after_a_comma(tmp_path):
    cells = CELLS.replace("TYPE=C3D4, ", "TYPE=C3D4,\n ")
    mesh = read(tmp_path, NODES.replace("*NODE", "*NODE,") + cells + END)
    assert mesh.region_names == ("BOTH",)
    assert len(mesh.file_vertices) == 5


def test_several_blocks_of_nodes_and_elements_add_up(tmp_path):
    nodes = NODES.replace("4, 0, 0, 1", "*NODE, NSET=top\n4, 0, 0, 1")
    cells = CELLS.replace("20,", "*ELEMENT, TYPE=C3D4H, ELSET=SECOND\n20,")
    mesh = read(tmp_path, nodes + cells + END)
    assert mesh.volume.item() == pytest.approx(0.5)
    assert at(mesh, "top") == [(0, 0, 1), (1, 1, 1)]
    assert mesh.region_names == ("BOTH", "SECOND")


def test_repeated_sets_add_up_and_sets_hold_sets_ranges_and_the_nodes_of_elements(tmp_path):
    text = (
        "*NSET, NSET=a\n1, 2,\n*Nset, nset=A\n5\n*NSET, NSET=b, GENERATE\n2, 4, 2\n3, 3\n"
        "*NSET, NSET=c\na, 4\nB\n"
        "*NSET, NSET=d, ELSET=second\n*ELSET, ELSET=second\n20\n"
        "*ELSET, ELSET=first, internal, GENERATE\n10, 10\n"
        '*ELSET, ELSET="the, first"\nFirst\n'
    )
    mesh = read(tmp_path, NODES + CELLS.replace(", ELSET=BOTH", "") + text)
    assert mesh.region_names == ("second", "the, first")
    assert set(mesh.vertex_sets) == {"a", "b", "c", "d"}
    assert at(mesh, "a") == [(0, 0, 0), (1, 0, 0), (1, 1, 1)]
    assert at(mesh, "b") == [(0, 0, 1), (0, 1, 0), (1, 0, 0)]
    assert len(at(mesh, "c")) == 5
    assert (0, 0, 0) not in at(mesh, "d")
    assert len(at(mesh, "d")) == 4


def test_a_set_of_element_sets_holds_the_elements_of_all_of_them(tmp_path):
    text = "*ELSET, ELSET=one\n10\n*ELSET, ELSET=two\n20\n*ELSET, ELSET=all\none, two\n"
    with pytest.warns(UserWarning, match="belong to several"):
        mesh = read(tmp_path, NODES + CELLS.replace(", ELSET=BOTH", "") + text)
    assert mesh.region_names == ("one", "two")
    mesh = read(
        tmp_path,
        NODES + CELLS.replace(", ELSET=BOTH", "") + text.replace("*ELSET, ELSET=all\none, two\n", ""),
    )
    assert mesh.cell_regions.tolist() == [0, 1]


def assembly(*instances):
    placed = "".join(
        f"*Instance, name={name}, part=Cube\n{place}*End Instance\n" for name, place in instances
    )
    part = f"*Part, name=Cube\n{CUBE}{BRICK}*Nset, nset=low\n1, 2\n*Elset, elset=solid\n1\n*End Part\n"
    return f"{part}*Assembly, name=A\n{placed}"


@pytest.mark.filterwarnings("ignore:.*pieces that no vertex joins")
def test_instances_of_a_part_are_moved_and_keep_sets_of_their_own(tmp_path):
    turned = " 3., 0., 0.\n 3., 0., 0., 3., 0., 1., 90.\n"
    deck = assembly(("One", ""), ("Two", turned)) + (
        "*Nset, nset=tips, instance=One\n8\n*Nset, nset=tips, instance=Two\n8\n"
        "*Nset, nset=ends\nOne.low, Two.1\n"
        "*Elset, elset=right, instance=Two\nsolid\n*End Assembly\n"
    )
    with pytest.warns(UserWarning, match="belong to several"):
        mesh = read(tmp_path, deck)
    assert mesh.volume.item() == pytest.approx(2)
    # Moved by 3 along x, then turned about the new place of its corner: x becomes y, and y becomes -x.
    assert torch.allclose(mesh.bounds, torch.tensor([[0.0, 0, 0], [3, 1, 1]]), atol=1e-6)
    rounded = {name: {tuple(round(c, 5) for c in p) for p in at(mesh, name)} for name in mesh.vertex_sets}
    assert rounded["tips"] == {(1, 1, 1), (2, 1, 1)}
    assert rounded["One.low"] == {(0, 0, 0), (1, 0, 0)}
    assert rounded["Two.low"] == {(3, 0, 0), (3, 1, 0)}
    assert rounded["ends"] == {(0, 0, 0), (1, 0, 0), (3, 0, 0)}
    assert mesh.region_names == ("One.solid", "Two.solid")


def test_the_sets_of_a_single_instance_keep_their_names(tmp_path):
    mesh = read(tmp_path, assembly(("One", "1, 2, 3\n")) + "*End Assembly\n")
    assert mesh.bounds.tolist() == [[1, 2, 3], [2, 3, 4]]
    assert set(mesh.vertex_sets) == {"low"}
    assert mesh.region_names == ("solid",)


def test_an_instance_may_hold_the_mesh_itself(tmp_path):
    deck = "*Part, name=P\n*End Part\n*Assembly, name=A\n*Instance, name=I, part=P\n0, 0, 5\n"
    mesh = read(tmp_path, deck + CUBE + BRICK + "*End Instance\n*End Assembly\n")
    assert mesh.bounds.tolist() == [[0, 0, 5], [1, 1, 6]]


@pytest.mark.filterwarnings("ignore:.*pieces that no vertex joins", "ignore:.*pairs of vertices coincide")
def test_parts_have_numbers_of_their_own(tmp_path):
    longer = CUBE.replace(", 1\n", ", 3\n")
    deck = f"*Part, name=A\n{CUBE}{BRICK}*End Part\n*Part, name=B\n{longer}{BRICK}*End Part\n"
    one = "*End Instance\n"
    place = "*Instance, name=a, part=A\n*End Instance\n*Instance, name=b, part=B\n7, 0, 0\n*End Instance\n"
    assert read(tmp_path, f"{deck}*Assembly, name=X\n{place}*End Assembly\n").volume.item() == pytest.approx(
        4
    )
    with pytest.warns(UserWarning, match="stay where they are: .'A', 'B'."):
        mesh = read(tmp_path, deck)
    assert mesh.volume.item() == pytest.approx(4)
    with pytest.warns(UserWarning, match="are left out: .'A'."):
        mesh = read(tmp_path, f"{deck}*Assembly, name=X\n{place.split(one, 1)[1]}*End Assembly\n")
    assert mesh.volume.item() == pytest.approx(3)


def test_included_files_are_read_in_their_place(tmp_path):
    (tmp_path / "nodes.inc").write_text(NODES.replace("*NODE\n", ""))
    (tmp_path / "cells.inc").write_text(CELLS)
    (tmp_path / "sets.txt").write_text("1, 2\n")
    text = "*NODE\n*INCLUDE, INPUT=nodes.inc\n*Include, input=cells.inc\n*NSET, NSET=low, INPUT=sets.txt\n"
    mesh = read(tmp_path, text)
    assert mesh.volume.item() == pytest.approx(0.5)
    assert at(mesh, "low") == [(0, 0, 0), (1, 0, 0)]
    with pytest.raises(MeshError, match=re.escape("deck.inp, line 1: ") + ".*missing.inc does not exist"):
        read(tmp_path, "*INCLUDE, INPUT=missing.inc\n")
    with pytest.raises(MeshError, match=re.escape("deck.inp, line 1: ") + ".*includes itself"):
        read(tmp_path, "*INCLUDE, INPUT=deck.inp\n")


def test_elements_of_surfaces_and_lines_name_vertices(tmp_path):
    surface = "*ELEMENT, type=CPS3, ELSET=skin\n1, 1, 2, 3\n*ELEMENT, TYPE=T3D2, ELSET=rim\n2, 1, 2\n"
    mesh = read(tmp_path, NODES + surface + CELLS + END)
    assert at(mesh, "skin") == [(0, 0, 0), (0, 1, 0), (1, 0, 0)]
    assert at(mesh, "rim") == [(0, 0, 0), (1, 0, 0)]
    assert mesh.volume.item() == pytest.approx(0.5)


def test_a_second_order_mesh_with_a_curved_skin_is_read_as_gmsh_writes_it(tmp_path):
    file = solid("tet10")
    nodes = "".join(f"{k + 1}, {x!r}, {y!r}, {z!r}\n" for k, (x, y, z) in enumerate(file.points.tolist()))
    cells = (file.cells[0].data + 1).tolist()
    rows = "".join(", ".join(map(str, [k + 1, *cell])) + "\n" for k, cell in enumerate(cells))
    skin = ", ".join(map(str, [999, *(cells[0][k] for k in (0, 1, 2, 4, 5, 6))]))
    text = f"*Heading\n deck.inp\n*NODE\n{nodes}******* E L E M E N T S *************\n"
    skin = f"*ELEMENT, type=CPS6, ELSET=Surface1\n{skin}\n"
    mesh = read(tmp_path, f"{text}{skin}*ELEMENT, type=C3D10, ELSET=Volume1\n{rows}*NSET,NSET=tip\n1,\n")
    assert mesh.element == "tet10"
    assert len(mesh.vertex_sets["Surface1"]) == 6
    assert len(mesh.vertex_sets["tip"]) == 1


def test_internal_element_sets_are_regions_only_where_a_section_uses_them(tmp_path):
    sets = "*Elset, elset=_load_S1, internal\n10\n*Elset, elset=_picked, internal\n20\n"
    section = "*Solid Section, elset=_picked, material=rubber\n,\n"
    mesh = read(tmp_path, NODES + CELLS.replace(", ELSET=BOTH", "") + sets + section)
    assert mesh.region_names == ("body", "_picked")


@pytest.mark.parametrize("element", ELEMENTS)
def test_surfaces_are_the_nodes_of_their_faces(tmp_path, element):
    shape = ELEMENT_TYPES[element].shape
    nodes = "".join(f"{k}, {x}, {y}, {z}\n" for k, (x, y, z) in enumerate(shape.nodes, 1))
    count = len(shape.nodes)
    row = "1,\n" + "".join(f"{k},\n" for k in range(1, count + 1))
    planes = TETRAHEDRON if element.startswith("tet") else HEXAHEDRON
    surfaces = "".join(f"*SURFACE, NAME=F{k}\nall, S{k}\n" for k in range(1, len(planes) + 1))
    deck = f"*NODE\n{nodes}*ELEMENT, TYPE={TYPES[element][0]}, ELSET=all\n{row}{surfaces}"
    mesh = read(tmp_path, deck)
    for k, plane in enumerate(planes, 1):
        on_plane = [index for index, node in enumerate(shape.nodes) if plane(*node)]
        assert mesh.vertex_sets[f"F{k}"].tolist() == on_plane


def test_surfaces_of_nodes_and_of_instances_are_sets(tmp_path):
    deck = assembly(("One", "")) + (
        "*Elset, elset=_top_S2, internal, instance=One\n1\n*Surface, type=ELEMENT, name=top\n_top_S2, S2\n"
        "*Surface, type=NODE, name=tip\nOne.8, 1.\n*Surface, type=NODE, name=_hidden, internal\nOne.8, 1.\n"
        "*End Assembly\n"
    )
    mesh = read(tmp_path, deck)
    assert set(mesh.vertex_sets) == {"low", "top", "tip"}
    assert set(at(mesh, "top")) == {(0, 0, 1), (1, 0, 1), (0, 1, 1), (1, 1, 1)}
    assert set(at(mesh, "tip")) == {(1, 1, 1)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("*SURFACE, NAME=skin\nBOTH,\n", "line 11: the surface skin is left out"),
        ("*SURFACE, NAME=cut, TYPE=CUTTING SURFACE\n1, 2\n", "line 11: the surface cut is left out"),
        ("*NSET, NSET=a\n1\n*SURFACE, NAME=a\nBOTH, S1\n", "line 13: the surface a is left out: a set"),
        ("*TIE, NAME=t\na, b\n", "line 10: *TIE is not read, and what it joins comes apart.*merge="),
    ],
)
def test_what_is_left_out_of_a_deck_is_warned_of_by_line(tmp_path, text, message):
    with pytest.warns(UserWarning, match=message.replace("*TIE", "[*]TIE")):
        assert read(tmp_path, NODES + CELLS + text + END).volume.item() == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (NODES + "*SURFACE, NAME=a\n10, S5\n" + CELLS, "line 8: a tetra has no face S5 that is read"),
        (NODES + "*NGEN\n1, 5\n" + CELLS, "line 7: *NGEN changes nodes or elements"),
        (NODES.replace("*NODE", "*NODE, SYSTEM=C") + CELLS, "line 1: SYSTEM= is not read"),
        (NODES + CELLS.replace("C3D4", "SC8R"), "line 7: elements of type SC8R are not read"),
        (NODES + CELLS.replace("4, 5", "4, 9"), "line 9: there is no node 9"),
        (NODES + CELLS.replace("4, 5", "4"), "line 9: the last element has 3 of 4 nodes"),
        (NODES + CELLS.replace("3, 4\n", "3, 4, 5\n"), "line 8: an element of type C3D4 cannot have 5 nodes"),
        (NODES + CELLS.replace("20", "10"), "line 9: element 10 has other nodes already"),
        (NODES.replace("5, 1", "4, 1") + CELLS, "line 6: node 4 has another place already"),
        (NODES.replace("5, 1", "5, x") + CELLS, "line 6: a number is needed, got 'x'"),
        (NODES + CELLS + "*NSET, NSET=a\nb\n", "line 11: there is no node set 'b'"),
        (NODES + CELLS + "*ELSET, ELSET=a\nb\n*ELSET, ELSET=b\na\n", "contains itself"),
        (NODES + CELLS + "*NSET, NSET=a, INSTANCE=i\n1\n", "line 11: there is no instance 'i'"),
        (NODES + CELLS + "*NSET\n1\n", "line 10: *NSET needs the parameter NSET="),
        ("*PART, NAME=p\n" + NODES + CELLS, "line 1: *PART has no *END PART: the deck is cut short"),
        (assembly(("a", "")), "*ASSEMBLY has no *END ASSEMBLY: the deck is cut short"),
        (assembly(("a", "1, 2\n")), "an instance is placed by three numbers"),
        (assembly(("a", "")).replace("part=Cube", "part=Ball"), "there is no part 'Ball'"),
        ("8 1 0 0 0\n", "line 1: an Abaqus deck begins with a keyword"),
    ],
)
def test_what_would_change_the_body_or_its_sets_is_refused_by_line(tmp_path, text, message):
    with pytest.raises(MeshError, match=re.escape(message)) as caught:
        read(tmp_path, text)
    assert "deck.inp" in str(caught.value)


def test_a_set_of_numbers_that_are_not_there_says_so(tmp_path):
    with pytest.warns(
        UserWarning, match="line 11: the set holds 2 nodes that the deck does not have, from 6 on"
    ):
        mesh = read(tmp_path, NODES + CELLS + "*NSET, NSET=a, GENERATE\n4, 7\n")
    assert len(mesh.vertex_sets["a"]) == 2


@pytest.mark.filterwarnings("ignore:.*dropped nodes")
def test_a_deck_cut_short_anywhere_never_gives_another_body_in_silence(tmp_path):
    deck = NODES + CELLS + "*NSET, NSET=low\n1, 2\n"
    for length in range(1, len(deck)):
        with warnings.catch_warnings():
            warnings.filterwarnings("error", ".*may be cut short")
            try:
                mesh = read(tmp_path, deck[:length])
            except (MeshError, UserWarning):
                continue
        assert mesh.volume.item() == pytest.approx(0.5), deck[:length]


def test_vertices_and_cells_keep_the_numbers_of_the_deck(tmp_path):
    mesh = read(tmp_path, NODES.replace("5,", "50,") + CELLS.replace("4, 5", "4, 50") + END)
    assert mesh.vertex_ids.tolist() == [1, 2, 3, 4, 50]
    assert mesh.cell_ids.tolist() == [10, 20]


@pytest.mark.parametrize("keyword", ["*NSET, NSET=TIP", "*ELSET, ELSET=TIP, GENERATE"])
def test_a_set_without_members_is_warned_of_by_its_line(tmp_path, keyword):
    with pytest.warns(UserWarning, match=r"line 10: [*](NSET|ELSET) names no members of TIP: .*cut short"):
        read(tmp_path, f"{NODES}{CELLS}{keyword}\n")

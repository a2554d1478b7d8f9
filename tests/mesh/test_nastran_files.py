"""Nastran files: every node and element is read, or the error says which line is not."""

import re

import pytest

from simlayer.mesh.mesh import MeshError
from simlayer.mesh.primitives import box_mesh
from simlayer.mesh.reading import read_mesh


def cube(grid="large", *, star="", system=""):
    """A unit cube of 27 bricks: nodes in large, small or free fields, with continuations and comments."""
    box = box_mesh(cells=(3, 3, 3), size=(1, 1, 1), element="hex8")
    lines = ["$ made by hand", "BEGIN BULK", "$"]
    for number, corners in enumerate((box.cells + 1).tolist(), 1):
        fields = "".join(f"{c:<8}" for c in [number, 1 + number % 2, *corners[:6]])
        lines += [f"CHEXA{star:<3}{fields}+{number:07}", f"+{number:07}{corners[6]:<8}{corners[7]:<8}", "$"]
    for number, place in enumerate(box.vertices.tolist(), 1):
        x, y, z = (f"{c:.6E}" for c in place)
        if grid == "large":
            lines += [f"GRID*   {number:<16}{system:16}{x:>16}{y:>16}", f"*       {z:>16}"]
        elif grid == "small":
            lines += [f"GRID    {number:<8}{system:8}" + "".join(f"{c:<8.5f}" for c in place)]
        else:
            lines += [f"GRID,{number},{system},{x},{y},{z}"]
    return "\n".join([*lines, "ENDDATA", ""])


@pytest.mark.parametrize("grid", ["large", "small", "free"])
def test_all_nodes_and_bricks_are_read_in_every_format_of_fields(tmp_path, grid):
    (tmp_path / "cube.bdf").write_text(cube(grid))
    mesh = read_mesh(tmp_path / "cube.bdf")
    assert len(mesh.cells) == 27
    assert mesh.volume.item() == pytest.approx(1, rel=1e-4)
    assert mesh.region_names == ("region_1", "region_2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (cube(star="*"), "line 4: CHEXA* would be passed over"),
        (cube().replace("CHEXA   9 ", "chexa   9 "), "line 28: chexa would be passed over"),
        (cube().replace("CHEXA   9 ", "CPYRAM  9 "), "line 28: CPYRAM would be passed over"),
        (cube().replace("$\nGRID", "INCLUDE 'more.bdf'\nGRID", 1), "line 84: INCLUDE would be passed over"),
        (cube(system="5"), "line 85: the node is given in coordinate system 5"),
        (cube("free", system="5"), "line 85: the node is given in coordinate system 5"),
        (cube("free").replace("GRID,9,,", "GRID,9\n$ "), "could not be read"),
        (cube("small", system="5"), "line 85: the node is given in coordinate system 5"),
    ],
)
def test_what_would_be_passed_over_is_refused_by_line(tmp_path, text, message):
    (tmp_path / "cube.bdf").write_text(text)
    with pytest.raises(MeshError, match=r"cube.bdf.*" + re.escape(message)):
        read_mesh(tmp_path / "cube.bdf")


@pytest.mark.parametrize(
    ("name", "message"),
    # The name does not begin its line, so it is taken for the continuation of the line before; or the lines
    # of nodes in free fields are not joined.
    [("+CHEXA  ", "could not be read"), (",", "a hexahedron has 8 nodes, got cells of shape (27, 6)")],
)
def test_bricks_without_all_of_their_nodes_are_refused(tmp_path, name, message):
    text = cube()
    if name == ",":
        text = re.sub(r"\+\d{7}\n\+\d{7}(\d+) *(\d+) *\n", r"\n,\1,\2\n", text)
    else:
        text = text.replace("\nCHEXA   9 ", f"\n{name}9 ")
    (tmp_path / "cube.bdf").write_text(text)
    with pytest.raises(MeshError, match=re.escape(message)):
        read_mesh(tmp_path / "cube.bdf")

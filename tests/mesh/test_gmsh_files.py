"""Damaged Gmsh files: counts and numbers that would take all memory are refused before they do."""

import re

import numpy as np
import pytest
import torch
from support.mesh_files import bare, shuffled

from simlayer.mesh.mesh import MeshError
from simlayer.mesh.reading import read_mesh

HUGE = 2**33


def damaged(path, file_format, what):
    """Write a binary file and put a huge number in place of a count or the number of a node."""
    file = bare(shuffled())
    file.write(path, file_format=file_format, binary=True)
    content = path.read_bytes()
    place = content.index(b"$Nodes\n") + len(b"$Nodes\n")
    if file_format == "gmsh22":
        if what == "count":
            content = content.replace(b"$Nodes\n54\n", b"$Nodes\n%d\n" % HUGE)
        else:
            content = content[: place + 3] + np.int32(2**30).tobytes() + content[place + 7 :]
    else:
        place += 8 if what == "count" else 32 + 20
        content = content[:place] + np.uint64(HUGE).tobytes() + content[place + 8 :]
    path.write_bytes(content)


@pytest.mark.parametrize("file_format", ["gmsh", "gmsh22"])
@pytest.mark.parametrize(
    ("what", "message"), [("count", f"$Nodes counts {HUGE}"), ("number", "a node has the number")]
)
def test_a_count_or_number_beyond_the_file_is_refused(tmp_path, file_format, what, message):
    damaged(tmp_path / "beam.msh", file_format, what)
    with pytest.raises(MeshError, match=re.escape(message)):
        read_mesh(tmp_path / "beam.msh")


@pytest.mark.parametrize("section", ["Nodes", "Elements"])
def test_a_count_of_a_text_file_is_refused_too(tmp_path, section):
    bare(shuffled()).write(tmp_path / "beam.msh", file_format="gmsh22", binary=False)
    text = (tmp_path / "beam.msh").read_text()
    (tmp_path / "beam.msh").write_text(re.sub(rf"\${section}\n\d+", f"${section}\n{HUGE}", text))
    with pytest.raises(MeshError, match=re.escape(f"${section} counts {HUGE}")):
        read_mesh(tmp_path / "beam.msh")


@pytest.mark.filterwarnings("ignore:.*(meshio says|turned inverted|dropped nodes)")
@pytest.mark.parametrize("file_format", ["gmsh", "gmsh22"])
def test_a_file_with_any_bit_turned_over_is_read_or_refused(tmp_path, file_format):
    file = bare(shuffled())
    file.write(tmp_path / "beam.msh", file_format=file_format, binary=True)
    content = (tmp_path / "beam.msh").read_bytes()
    random = np.random.default_rng(0)
    for place, bit in zip(random.integers(len(content), size=40), random.integers(8, size=40), strict=True):
        turned = bytearray(content)
        turned[place] ^= 1 << int(bit)
        (tmp_path / "beam.msh").write_bytes(turned)
        try:
            mesh = read_mesh(tmp_path / "beam.msh")
        except MeshError:
            continue
        assert torch.isfinite(mesh.vertices).all()

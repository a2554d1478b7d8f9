"""XDMF files with tags in grids of their own, as dolfinx writes them."""

import h5py
import numpy as np
import pytest
import torch
from support.mesh_files import assert_same_body, at, ends, shuffled

from simlayer.mesh.reading import read_mesh

INCLUDE = '<xi:include xpointer="xpointer(/Xdmf/Domain/Grid/Geometry)" />'


def dolfinx(path, file, *, extra="", shift=0):
    """Write a mesh, tags of its cells in another order, and tags of its end faces, with HDF5 beside it."""
    cells = file.get_cells_type("tetra")
    faces = [file.cells[1].data, file.cells[3].data]
    order = np.random.default_rng(1).permutation(len(cells))
    arrays = {
        "Mesh/mesh/geometry": file.points,
        "Mesh/mesh/topology": cells,
        "MeshTags/cell_tags/topology": cells[order][:, [2, 0, 1, 3]] + shift,
        "MeshTags/cell_tags/Values": (order >= 50).astype(np.int32),
        "MeshTags/facet_tags/topology": np.concatenate(faces),
        "MeshTags/facet_tags/Values": np.repeat(np.int32([5, 6]), [len(rows) for rows in faces]),
    }
    with h5py.File(path.with_suffix(".h5"), "w") as store:
        for name, values in arrays.items():
            store[name] = values

    def item(name):
        shape = " ".join(map(str, arrays[name].shape))
        kind = "Float" if arrays[name].dtype.kind == "f" else "Int"
        place = f"{path.stem}.h5:/{name}"
        return f'<DataItem Dimensions="{shape}" NumberType="{kind}" Format="HDF">{place}</DataItem>'

    def tags(name, kind):
        topology = f'<Topology TopologyType="{kind}">{item(f"MeshTags/{name}/topology")}</Topology>'
        values = item(f"MeshTags/{name}/Values")
        attribute = f'<Attribute Name="{name}" AttributeType="Scalar" Center="Cell">{values}</Attribute>'
        return f'<Grid Name="{name}" GridType="Uniform">{INCLUDE}{topology}{attribute}</Grid>'

    mesh = (
        f'<Topology TopologyType="Tetrahedron">{item("Mesh/mesh/topology")}</Topology>'
        f'<Geometry GeometryType="XYZ">{item("Mesh/mesh/geometry")}</Geometry>'
    )
    path.write_text(
        '<?xml version="1.0"?>\n<Xdmf Version="3.0" xmlns:xi="https://www.w3.org/2001/XInclude"><Domain>'
        f'<Grid Name="mesh" GridType="Uniform">{mesh}</Grid>{tags("cell_tags", "Tetrahedron")}'
        f"{tags('facet_tags', 'Triangle')}{extra}</Domain></Xdmf>\n"
    )


def test_tags_in_grids_of_their_own_become_regions_and_sets(tmp_path):
    file = shuffled()
    dolfinx(tmp_path / "beam.xdmf", file)
    mesh = read_mesh(tmp_path / "beam.xdmf")
    assert_same_body(mesh, file)
    assert mesh.region_names == ("cell_tags_0", "cell_tags_1")
    assert torch.equal(mesh.cell_regions, (torch.arange(120) >= 50).long())
    assert at(mesh, "facet_tags_5") == ends(file, 0.0)
    assert at(mesh, "facet_tags_6") == ends(file, 0.5)


@pytest.mark.parametrize(
    "options", [{"shift": 1}, {"extra": '<Grid Name="cell_tags" GridType="Collection"></Grid>'}]
)
def test_grids_that_tag_no_cells_of_the_mesh_are_named(tmp_path, options):
    file = shuffled()
    dolfinx(tmp_path / "beam.xdmf", file, **options)
    with pytest.warns(UserWarning, match="ignored the grid 'cell_tags'"):
        mesh = read_mesh(tmp_path / "beam.xdmf")
    assert_same_body(mesh, file)
    assert set(mesh.vertex_sets) == {"facet_tags_5", "facet_tags_6"}

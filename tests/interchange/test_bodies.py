"""Bodies from objects of other packages."""

from __future__ import annotations

import meshio
import numpy as np
import pytest
import torch

from simlayer import MeshError, box_mesh
from simlayer.interchange import mesh_from, to_pyvista

pytestmark = pytest.mark.usefixtures("float64")


def test_a_mesh_of_meshio_keeps_its_cells_and_regions():
    box = box_mesh(cells=(2, 1, 1), size=(2.0, 1.0, 1.0), element="hex8")
    data = {"gmsh:physical": [np.array([3, 7])]}
    made = mesh_from(
        meshio.Mesh(box.vertices.numpy(), [("hexahedron", box.cells.numpy())], cell_data=data), scale=0.1
    )
    torch.testing.assert_close(made.vertices, 0.1 * box.vertices)
    assert torch.equal(made.cells, box.cells)
    assert made.cell_regions.unique(return_counts=True)[1].tolist() == [1, 1]


def test_a_surface_of_trimesh_is_filled():
    trimesh = pytest.importorskip("trimesh")
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.05)
    made = mesh_from(ball, edge_length=0.02)
    assert float(made.volumes.sum()) == pytest.approx(ball.volume, rel=0.02)
    with pytest.raises(MeshError, match=r"the trimesh Trimesh: .ply files hold surfaces.*edge_length="):
        mesh_from(ball)


def test_a_model_of_gmsh_keeps_the_names_of_its_groups():
    gmsh = pytest.importorskip(
        "gmsh", exc_type=ImportError, reason="gmsh or a library that it needs is not installed"
    )
    gmsh.initialize()
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        with pytest.raises(MeshError, match=r"call gmsh.model.mesh.generate\(3\) before"):
            mesh_from(gmsh)
        gmsh.model.occ.addBox(0, 0, 0, 2, 1, 1)
        gmsh.model.occ.synchronize()
        gmsh.model.addPhysicalGroup(3, [1], name="beam")
        gmsh.model.addPhysicalGroup(2, [1], name="clamped")
        gmsh.model.mesh.generate(3)
        made = mesh_from(gmsh)
    finally:
        gmsh.finalize()
    assert made.region_names == ("beam",)
    assert bool((made.vertices[made.vertex_sets["clamped"], 0] == 0).all())
    assert float(made.volumes.sum()) == pytest.approx(2.0)


@pytest.mark.filterwarnings("ignore:.*region")
def test_grids_images_and_surfaces_of_pyvista_become_bodies():
    pyvista = pytest.importorskip("pyvista", reason="PyVista is not installed")
    box = box_mesh(cells=(2, 1, 1), size=(2.0, 1.0, 1.0), element="tet10")
    grid = mesh_from(to_pyvista(box, box.vertices[None])[0])
    assert torch.equal(grid.cells, box.cells)
    image = pyvista.ImageData(dimensions=(3, 2, 2))
    image.cell_data["label"] = [1, 2]
    assert mesh_from(image).element == "hex8"
    assert float(mesh_from(pyvista.Cube(), edge_length=0.5).volumes.sum()) == pytest.approx(1.0, rel=0.02)


def test_anything_else_is_refused_with_what_can_be():
    with pytest.raises(MeshError, match=r"body must be the module gmsh.*got str"):
        mesh_from("beam.msh")

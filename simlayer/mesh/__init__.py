"""The rest shape of a body: vertices, cells, vertex sets, regions; made, read, refined and written."""

from simlayer.mesh.disjoint_union import disjoint_union
from simlayer.mesh.label_image import LabelImage, read_image
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.paraview import write_frames
from simlayer.mesh.primitives import ball_mesh, box_mesh
from simlayer.mesh.reading import read_mesh
from simlayer.mesh.refinement import refine, to_quadratic_elements
from simlayer.mesh.validation import MeshError
from simlayer.mesh.voxels import voxel_mesh

__all__ = [
    "LabelImage",
    "Mesh",
    "MeshError",
    "ball_mesh",
    "box_mesh",
    "disjoint_union",
    "read_image",
    "read_mesh",
    "refine",
    "to_quadratic_elements",
    "voxel_mesh",
    "write_frames",
]

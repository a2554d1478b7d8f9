"""Write cantilever.msh, a small beam with named faces: python -m simlayer.app.assets.make_cantilever

Gmsh 2.2 in text: any Gmsh opens it, and it is the one format in which meshio keeps names without geometry.
"""

from pathlib import Path

import meshio
import numpy as np

from simlayer.mesh.primitives import box_mesh

BODY, CLAMPED, TIP = 1, 2, 3


def main() -> None:
    """A beam of 0.1 x 0.03 x 0.03 m: surfaces "clamped" (x = 0) and "tip" (x = 0.1 m), volume "beam"."""
    mesh = box_mesh(cells=(10, 3, 3), size=(0.1, 0.03, 0.03))
    blocks, tags = [("tetra", mesh.cells.numpy())], [BODY]
    for face, tag in (("x_min", CLAMPED), ("x_max", TIP)):
        inside = np.isin(mesh.boundary.numpy(), mesh.vertex_sets[face].numpy()).all(1)
        blocks.append(("triangle", mesh.boundary.numpy()[inside]))
        tags.append(tag)
    numbers = [np.full(len(corners), tag) for (_, corners), tag in zip(blocks, tags, strict=True)]
    meshio.Mesh(
        # Text of float32 numbers would carry their rounding, 0.029999999329447746.
        mesh.vertices.double().numpy().round(6),
        blocks,
        cell_data={"gmsh:physical": numbers, "gmsh:geometrical": [number.copy() for number in numbers]},
        field_data={
            "beam": np.array([BODY, 3]),
            "clamped": np.array([CLAMPED, 2]),
            "tip": np.array([TIP, 2]),
        },
    ).write(Path(__file__).with_name("cantilever.msh"), file_format="gmsh22", binary=False, float_fmt=".9g")


if __name__ == "__main__":
    main()

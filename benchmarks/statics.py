"""How far a silicone beam sags under its weight, element by element, next to a commercial code.

    python benchmarks/statics.py [--fine]

A clamped beam of 100 x 30 x 30 mm, E = 263,824 Pa, nu = 0.499; the reference is from the validation of
github.com/srl-ethz/diffPD_sim2real. Prints where two points of the tip end up, vertically.
"""

from __future__ import annotations

import argparse
import time

import torch

import simlayer as sl

REFERENCE = {(0.0, 0.0, 0.024): 17.248e-3, (0.0, 0.030, 0.006): -0.69132e-3}
MESHES = [
    ("tet4", (10, 3, 3), "full"),
    ("hex8", (10, 3, 3), "full"),
    ("tet10", (10, 3, 3), "full"),
    ("hex8", (10, 3, 3), "mean dilatation"),
    ("tet10", (10, 3, 3), "mean dilatation"),
    ("hex20", (10, 3, 3), "full"),
    ("hex20", (10, 3, 3), "reduced"),
    ("tet10", (16, 5, 5), "full"),
    ("hex20", (16, 5, 5), "reduced"),
]


def sag(element: str, cells: tuple[int, int, int], quadrature: str) -> tuple[list[float], float]:
    """Vertical displacements [m] of the two points, and how long it took [s]."""
    from simlayer.identification.sensors import Markers

    mesh = sl.box_mesh(cells=cells, size=(0.1, 0.03, 0.03), origin=(-0.1, 0.0, 0.0), element=element)
    law = sl.StableNeoHookean(263_824.0, 0.499)
    if quadrature == "mean dilatation":
        elastic: sl.ElasticForce = sl.MeanDilatationForce(mesh, law)
    else:
        elastic = sl.ElasticForce(mesh, law, quadrature=quadrature)  # type: ignore[arg-type]
    gravity = (0.0, 0.0, -9.80709)
    step = sl.Equilibrium(mesh, {"elastic": elastic}, density=1070.0, gravity=gravity, fixed="x_min")
    markers = Markers(mesh, torch.tensor(list(REFERENCE)))
    begin = time.perf_counter()
    end = step(sl.State.at_rest(mesh.vertices)).positions
    moved = markers(end) - markers(mesh.vertices)
    return moved[:, 2].tolist(), time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fine", action="store_true", help="meshes of up to 11,000 unknowns too")
    fine = parser.parse_args().fine
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    expected = [z - point[2] for point, z in REFERENCE.items()]
    print(f"{'reference':<32}" + "".join(f"{1e3 * z:10.3f} mm{'':9}" for z in expected))
    meshes = MESHES + ([("hex20", (20, 6, 6), "reduced")] if fine else [])
    for element, cells, quadrature in meshes:
        moved, seconds = sag(element, cells, quadrature)
        name = f"{element} {'x'.join(map(str, cells))}" + (f" {quadrature}" if quadrature != "full" else "")
        parts = (f"{1e3 * z:10.3f} mm {z / e - 1:+7.1%} " for z, e in zip(moved, expected, strict=True))
        print(f"{name:<32}" + "".join(parts) + f"{seconds:8.1f} s", flush=True)


if __name__ == "__main__":
    main()

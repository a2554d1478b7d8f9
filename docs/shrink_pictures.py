"""Copies the pictures of the gallery from the folders of runs, small enough for a repository.

After the commands of gallery.md run: python docs/shrink_pictures.py outputs
"""

import sys
from pathlib import Path

from PIL import Image

# The picture of a page: the run, and the picture in its folder.
PICTURES = {
    "cantilever": ("cantilever", "found_over_target"),
    "stress": ("cantilever", "stress"),
    "equilibrium": ("equilibrium", "stress"),
    "bouncing_ball": ("bouncing_ball", "found_over_target"),
    "friction": ("friction", "found_over_target"),
    "initial_velocity": ("initial_velocity", "found_over_target"),
    "damping": ("damping", "found_over_target"),
    "uncertainty": ("damping", "uncertainty"),
    "hysteresis": ("hysteresis", "pull"),
    "material_point": ("material_point", "curves"),
    "torsion": ("tensile_and_torsion", "torsion"),
    "torsion_stress": ("tensile_and_torsion", "torsion_stress"),
    "long_recording": ("long_recording", "convergence"),
}
WIDTH, COLOURS = 900, 64


def main(outputs: str = "outputs") -> None:
    """Write every picture, at most `WIDTH` pixels wide and in `COLOURS` colours."""
    folder = Path(__file__).parent / "pictures"
    for name, (run, picture) in PICTURES.items():
        with Image.open(Path(outputs) / run / f"{picture}.png") as image:
            image = image.convert("RGB")
            image.thumbnail((WIDTH, WIDTH))
            path = folder / f"{name}.png"
            image.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(*sys.argv[1:])

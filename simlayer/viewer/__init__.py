"""Motions in a browser, as one file that needs no network; needs the extra `viewer`.

K3D-jupyter (MIT), a plotting layer on Three.js, draws. A page holds its JavaScript of one megabyte, the
surfaces with 16 bits per coordinate, and the fields with 8 bits per value.
"""

from simlayer.viewer.motion import MotionError, SurfaceMotion, surface_motion
from simlayer.viewer.page import view, write_html
from simlayer.viewer.run_folder import read_motion

__all__ = ["MotionError", "SurfaceMotion", "read_motion", "surface_motion", "view", "write_html"]

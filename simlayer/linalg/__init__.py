"""Small linear algebra over fields: 3x3 matrices by components, polar rotations, rotation vectors.

Imports torch and jaxtyping only.
"""

from simlayer.linalg.matrix3 import Matrix3
from simlayer.linalg.polar import polar_rotation, stretch_trace
from simlayer.linalg.rotation import rotation_matrix, rotation_vector

__all__ = [
    "Matrix3",
    "polar_rotation",
    "rotation_matrix",
    "rotation_vector",
    "stretch_trace",
]

"""Tests of materials on meshed specimens: loads over displacements, displacement fields, several at once."""

from simlayer.laboratory.displacement_test import DisplacementTest
from simlayer.laboratory.grips import GripMotion, Pull, Twist
from simlayer.laboratory.identify_tests import IdentifiedTests, identify_tests
from simlayer.laboratory.load_test import LoadTest
from simlayer.laboratory.specimen_test import SpecimenTest

__all__ = [
    "DisplacementTest",
    "GripMotion",
    "IdentifiedTests",
    "LoadTest",
    "Pull",
    "SpecimenTest",
    "Twist",
    "identify_tests",
]

"""Tests of materials on meshed specimens: loads, displacement fields and scans, one or several at once."""

from simlayer.laboratory.displacement_test import DisplacementTest
from simlayer.laboratory.grips import GripMotion, Pull, Twist
from simlayer.laboratory.identify_tests import IdentifiedTests, identify_tests
from simlayer.laboratory.load_test import LoadTest
from simlayer.laboratory.read_scan import read_scan
from simlayer.laboratory.scan_test import ScanTest
from simlayer.laboratory.specimen_test import SpecimenTest

__all__ = [
    "DisplacementTest",
    "GripMotion",
    "IdentifiedTests",
    "LoadTest",
    "Pull",
    "ScanTest",
    "SpecimenTest",
    "Twist",
    "identify_tests",
    "read_scan",
]

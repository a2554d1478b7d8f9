"""Tests on meshed specimens: load curves, inflation, displacement fields, scans, and several at once."""

from simlayer.laboratory.align_scan import AlignedScan, align_scan
from simlayer.laboratory.displacement_test import DisplacementTest
from simlayer.laboratory.grips import GripMotion, Pull, Twist
from simlayer.laboratory.identified_tests import IdentifiedTests
from simlayer.laboratory.identify_tests import identify_tests
from simlayer.laboratory.load_test import LoadTest
from simlayer.laboratory.pressure_volume_test import PressureVolumeTest
from simlayer.laboratory.read_displacements import DisplacementField, read_displacements
from simlayer.laboratory.read_load_curve import LoadCurve, read_load_curve
from simlayer.laboratory.read_scan import read_scan
from simlayer.laboratory.scan_test import ScanTest
from simlayer.laboratory.specimen_test import SpecimenTest

__all__ = [
    "AlignedScan",
    "DisplacementField",
    "DisplacementTest",
    "GripMotion",
    "IdentifiedTests",
    "LoadCurve",
    "LoadTest",
    "PressureVolumeTest",
    "Pull",
    "ScanTest",
    "SpecimenTest",
    "Twist",
    "align_scan",
    "identify_tests",
    "read_displacements",
    "read_load_curve",
    "read_scan",
]

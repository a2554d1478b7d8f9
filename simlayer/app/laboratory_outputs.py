"""What a run writes and prints of each test on a specimen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from simlayer.app.readouts import read_body, stress_picture
from simlayer.app.scan_picture import format_scan, scan_picture, summarize_scan
from simlayer.app.surroundings import surroundings
from simlayer.identification.measured_values import format_change
from simlayer.laboratory.displacement_test import DisplacementTest
from simlayer.laboratory.load_test import LoadTest
from simlayer.laboratory.pressure_volume_test import PressureVolumeTest
from simlayer.laboratory.scan_test import ScanTest
from simlayer.laboratory.specimen_test import SpecimenTest
from simlayer.plotting import curve_picture, displacement_picture

# What the numbers of each kind of test are, and of what amount they are a function.
LABELS = {
    "pull": ("displacement", "force"),
    "twist": ("angle", "torque"),
    "pressure_volume": ("pressure", "change of volume"),
    "displacements": ("", "displacement"),
}

# Of what the residuals are a share, where that is not what was measured.
SIZES = {"scan": "the median distance at rest"}

# How each unit is shown: a factor, and its name.
SHOWN = {
    "m": (1e3, "mm"),
    "rad": (180 / math.pi, "degree"),
    "Pa": (1e-3, "kPa"),
    "N": (1.0, "N"),
    "N m": (1.0, "N m"),
    "m³": (1e6, "mL"),
}


def show(value: float, unit: str) -> str:
    """Format a number of a test in the unit in which it is shown."""
    factor, name = SHOWN[unit]
    return f"{factor * value:.4g} {name}"


def describe_test(test: SpecimenTest, kind: str) -> str:
    """Return one line about what was measured in a test."""
    if isinstance(test, ScanTest):
        size = show(test.size, "m")
        return f"a scan of {test.numbers} points, half of them more than {size} from the specimen at rest"
    present = test.observed[~test.observed.isnan()]
    amount, load = LABELS[kind]
    largest = show(float(present.abs().max()), test.unit)
    if isinstance(test, DisplacementTest):
        return f"displacements of {len(test.observed)} points, {len(present)} components, up to {largest}"
    amounts: Any = test
    reached = show(float(amounts.amounts.abs().max()), amounts.amount_unit)
    return f"{len(present)} values of the {load}, up to {largest}, at {amount}s up to {reached}"


def write_test(
    folder: Path, test: SpecimenTest, kind: str, residuals: Tensor, errors: Tensor
) -> dict[str, Any]:
    """Write the pictures of a test, and return what they show, and the largest stress of its specimen."""
    with torch.no_grad():
        frames, told = test.frames(), {}
        if isinstance(test, ScanTest):
            picture = scan_picture(test, frames.positions[-1])
            told = summarize_scan(test, frames.positions[-1])
        elif isinstance(test, DisplacementTest):
            picture = _draw_displacements(test, residuals)
        else:
            assert isinstance(test, LoadTest | PressureVolumeTest)
            picture = _draw_curve(test, residuals, errors, LABELS[kind])
        picture.savefig(folder / f"{test.name}.png", dpi=150)
        stress = read_body(test.rollout, frames).von_mises
    if stress is None:
        return told
    at = int(stress.amax(1).argmax())
    beside = surroundings(test.step)
    picture = stress_picture(test.step.elements.mesh, frames.positions[at], stress[at], **beside)
    picture.savefig(folder / f"{test.name}_stress.png", dpi=150)
    return {**told, "largest_von_mises_stress": {"value": float(stress[at].max()), "unit": "Pa"}}


def _draw_curve(
    test: LoadTest | PressureVolumeTest, residuals: Tensor, errors: Tensor, labels: tuple[str, str]
) -> Figure:
    """Draw a measured curve, the fitted one with its band, and the residuals."""
    (across, amount), (up, value) = SHOWN[test.amount_unit], SHOWN[test.unit]
    observed = test.observed.cpu()
    return curve_picture(
        across * test.amounts.cpu(),
        up * observed,
        up * (observed + residuals.cpu()),
        amount=(labels[0], amount),
        value=(labels[1], value),
        error=up * errors.cpu(),
        title=test.name,
    )


def _draw_displacements(test: DisplacementTest, residuals: Tensor) -> Figure:
    """Draw measured and fitted displacements of the points that count.

    A rigid motion that is unknown, too, is part of the fitted ones.
    """
    counts = (test.weights > 0).flatten()
    observed, left = test.observed[counts], residuals[counts] / test.weights[counts]
    return displacement_picture(test.points[counts.cpu()], observed, observed + left, title=test.name)


def format_tests(results: Mapping[str, Any]) -> str:
    """Format a block for each test: its residuals, its stresses, and what it alone tells of the unknowns."""
    lines: list[str] = []
    for name, row in results["tests"].items():
        lines.append(f"Test {name}: {row['described']}")
        size = show(row["rms"], row["unit"])
        whole = SIZES.get(row["kind"], "the measured")
        lines.append(f"  rms of the residuals {size}, {row['relative_rms']:.2%} of {whole}")
        if scan := row.get("scan"):
            lines.append(f"  {format_scan(scan)}")
        if stress := row.get("largest_von_mises_stress"):
            lines.append(f"  von Mises stress up to {stress['value']:.3g} Pa")
        if len(results["tests"]) > 1:
            each = (
                f"{parameter.rpartition('.')[2]} {_format_alone(found['alone'][name], found['unit'])}"
                for parameter, found in results["parameters"].items()
            )
            lines.append(f"  alone: {', '.join(each)}")
    return "\n".join(lines)


def _format_alone(error: Any, unit: str) -> str:
    """Format the standard error that a test alone would give."""
    several = error if isinstance(error, list) else [error]
    if None in several:
        return "not determined"
    return f"± {', '.join(format_change(each, unit).lstrip('+') for each in several)}"

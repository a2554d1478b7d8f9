"""Fields of displacements read from text files and from arrays."""

import numpy as np
import pytest
import torch

from simlayer import ObservationError
from simlayer.laboratory import read_displacements

TEXT = "X [mm],Y [mm],U,V,c\n0,0,1,2,0.9\n1,0,,nan,1\n1,1,3,,0.5\n0,1,NaN,4,0.1\n"

COLUMNS = {
    "points": {"x": "X [mm]", "y": "Y [mm]"},
    "points_unit": "mm",
    "displacements": {"x": "U", "y": "V"},
    "displacements_unit": "µm",
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "field.csv"
    path.write_text(TEXT)
    return path


def test_gaps_stay_and_points_without_any_displacement_are_left_out(file):
    field = read_displacements(file, **COLUMNS, origin=(0.0, 1.0, 2.0))
    points = torch.tensor([[0, 1, 2], [1e-3, 1.001, 2], [0, 1.001, 2]]).double()
    torch.testing.assert_close(field.points, points)
    nan = torch.nan
    expected = 1e-6 * torch.tensor([[1, 2, nan], [3, nan, nan], [nan, 4, nan]]).double()
    torch.testing.assert_close(field.displacements, expected, equal_nan=True)
    assert field.confidence is None


def test_points_of_little_confidence_are_left_out(file):
    field = read_displacements(file, **COLUMNS, confidence="c", least_confidence=0.3)
    torch.testing.assert_close(field.confidence, torch.tensor([0.9, 0.5]).double())
    with pytest.raises(
        ObservationError, match="no point of 4 has a displacement that counts with least_confidence=2"
    ):
        read_displacements(file, **COLUMNS, confidence="c", least_confidence=2.0)


def test_one_component_is_enough(file):
    field = read_displacements(file, **(COLUMNS | {"displacements": {"y": "V"}}))
    assert field.displacements.isfinite().sum(0).tolist() == [0, 2, 0]


def test_arrays_of_any_shape_say_the_same_as_text(file, tmp_path):
    table = np.genfromtxt(TEXT.splitlines()[1:], delimiter=",")
    grid = table.reshape(2, 2, 5)
    np.savez(tmp_path / "field.npz", place=grid[..., :2], U=grid[..., 2], V=grid[..., 3])
    columns = COLUMNS | {"points": {"x": "place[0]", "y": "place[1]"}}
    for one, other in zip(
        read_displacements(tmp_path / "field.npz", **columns),
        read_displacements(file, **COLUMNS),
        strict=True,
    ):
        torch.testing.assert_close(one, other, equal_nan=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points_unit": None}, "points_unit must be the unit of the points in the file, one of m, cm, mm"),
        ({"points_unit": "m"}, "the column 'X .mm.' is in mm, and points_unit is 'm'"),
        ({"displacements": {"a": "U"}}, "displacements must be columns by axis, some of x, y, z"),
        ({"displacements": {"x": "U1"}}, "did you mean 'U'"),
        ({"origin": (0.0, 1.0)}, "origin must be a point"),
    ],
)
def test_what_does_not_fit_is_refused(file, changes, message):
    with pytest.raises(ObservationError, match=message):
        read_displacements(file, **(COLUMNS | changes))


def test_a_point_without_a_place_is_named_by_its_line(file):
    file.write_text(TEXT.replace("\n1,1,", "\n1,,"))
    with pytest.raises(
        ObservationError, match=r"field.csv: line 4: points.y must be a finite number, got ''"
    ):
        read_displacements(file, **COLUMNS)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": [0.0], "Y": [0.0], "U": [1.0]}, "has no array 'V' for displacements.y"),
        ({"X": [0.0], "Y": [0.0, 1.0], "U": [1.0], "V": [1.0]}, "points.x has 1 numbers and points.y has 2"),
        ({"X": [np.nan], "Y": [0.0], "U": [1.0], "V": [1.0]}, "points.x must be finite, got nan at index 0"),
        ({"X": ["a"], "Y": [0.0], "U": [1.0], "V": [1.0]}, "the array 'X' must hold numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, arrays, message):
    path = tmp_path / "field.npz"
    np.savez(path, **{name: np.array(values) for name, values in arrays.items()})
    with pytest.raises(ObservationError, match=message):
        read_displacements(path, **(COLUMNS | {"points": {"x": "X", "y": "Y"}}))
    path.write_text("no archive")
    with pytest.raises(ObservationError, match=r"cannot be read as arrays of numbers"):
        read_displacements(path, **COLUMNS)

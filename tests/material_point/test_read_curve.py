"""Curves of tests read from files as laboratories export them."""

import numpy as np
import pytest

from simlayer import ObservationError
from simlayer.material_point import read_curve

EXPORT = """PARAMETER;INFO;URL;;
Specimen Width (mm);6;;;
Machine;Type 5569, 1 kN;;;
;;;;
Time (s);Force (N);Travel (mm);Strain (%);Stress (MPa)
(s);(N);(mm);(%);(MPa)
0,1;0,18;3,3;10;0,01
0,2;0,36;6,6;20;0,02
0,3;0,54;9,9;30;0,03
"""


@pytest.fixture
def export(tmp_path):
    path = tmp_path / "pull.csv"
    path.write_text(EXPORT)
    return path


def columns(**changes):
    return {
        "stress": "Stress (MPa)",
        "stress_unit": "MPa",
        "strain": "Strain (%)",
        "strain_unit": "%",
    } | changes


def test_an_export_with_metadata_units_and_decimal_commas_is_read(export):
    curve = read_curve(export, **columns(time="Time (s)"))
    np.testing.assert_allclose(curve.stretch, [1.1, 1.2, 1.3])
    np.testing.assert_allclose(curve.stress, [1e4, 2e4, 3e4])
    assert curve.name == "pull"
    assert curve.path.name == "uniaxial"


def test_force_and_travel_give_the_same_curve_as_stress_and_strain(export):
    force = read_curve(
        export,
        stress="Force (N)",
        stress_unit="N",
        stress_kind="force",
        area=18e-6,
        strain=2,
        strain_unit="mm",
        strain_kind="displacement",
        gauge_length=33e-3,
    )
    nominal = read_curve(export, **columns())
    np.testing.assert_allclose(force.stretch, nominal.stretch)
    np.testing.assert_allclose(force.stress, nominal.stress)


def test_true_stress_and_strain_are_those_of_an_incompressible_specimen(tmp_path):
    path = tmp_path / "true.txt"
    path.write_text(f"{np.log(2):.17g} 6.0\n{np.log(3):.17g} 9.0\n")
    curve = read_curve(
        path,
        stress=1,
        stress_unit="kPa",
        stress_kind="true",
        strain=0,
        strain_unit="1",
        strain_kind="true strain",
    )
    np.testing.assert_allclose(curve.stretch, [2, 3])
    np.testing.assert_allclose(curve.stress, [3e3, 3e3])


@pytest.mark.parametrize(
    "text", ["0.1 1.5\n0.2 2.5\n", "0.1\t1.5\n0.2\t2.5", "0.1,1.5\n0.2,2.5\n\n", "0,1;1,5\n0,2;2,5"]
)
def test_files_without_a_header_are_read_by_indices(tmp_path, text):
    path = tmp_path / "plain.txt"
    path.write_text(text)
    curve = read_curve(path, stress=0, stress_unit="MPa", strain=1, strain_unit="1", strain_kind="stretch")
    np.testing.assert_allclose(curve.stretch, [1.5, 2.5])
    np.testing.assert_allclose(curve.stress, [1e5, 2e5])


def test_a_shear_is_read_as_it_is(tmp_path):
    path = tmp_path / "shear.csv"
    path.write_text("gamma,tau\n-0.5,-1\n0.5,1\n")
    curve = read_curve(
        path, stress="tau", stress_unit="kPa", strain="gamma", strain_unit="1", test="simple_shear"
    )
    np.testing.assert_allclose(curve.stretch, [-0.5, 0.5])


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("0,36", "high", r"pull.csv: line 8: stress must be a finite number, got 'high'"),
        ("0,36", "nan", r"line 8: stress must be a finite number, got 'nan': correct the cell, or remove"),
        ("0,36", "", r"line 8: stress must be a finite number, got ''"),
        ("0,2;0,36;6,6;20;0,02", "0,2", r"line 8 has 1 cells, and stress is in column 1"),
        (
            "0,3;",
            "0,15;",
            r"line 9: the time decreases from 0.2 to 0.15, .* goes on there, leave time= out",
        ),
        (
            "Force (N)",
            "Force (kN)",
            r"no line with the titles of stress, strain, time, 'Force \(N\)', .* mean 'Force \(kN\)'",
        ),
        ("Travel (mm)", "Force (N)", r"several columns 'Force \(N\)': give the index"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_line(export, before, after, message):
    assert before in EXPORT
    export.write_text(EXPORT.replace(before, after, 1))
    with pytest.raises(ObservationError, match=message):
        read_curve(
            export, **columns(stress="Force (N)", stress_unit="N", stress_kind="force", area=1e-5, time=0)
        )


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"stress_unit": None},
            ObservationError,
            "stress_unit must be the unit of the nominal stress in the file",
        ),
        ({"stress_unit": "N"}, ObservationError, "one of Pa, kPa, MPa"),
        ({"stress_unit": "kPa"}, ObservationError, r"'Stress \(MPa\)' is in MPa, and stress_unit is 'kPa'"),
        ({"strain_unit": "1"}, ObservationError, "is in %, and strain_unit is '1'"),
        ({"strain_unit": "mm"}, ObservationError, "strain_unit must be the unit"),
        ({"stress": "Stress"}, ObservationError, r"no line with the titles"),
        ({"stress": 9, "strain": 3}, ObservationError, "has no line with numbers in the columns 9, 3"),
        ({"area": 1e-5}, ValueError, "area must be None unless the column is a force"),
        ({"stress_kind": "force", "stress_unit": "N"}, ValueError, "area must be given in m²"),
        ({"test": "simple_shear", "strain_kind": "stretch"}, ValueError, "strain_kind must be 'strain' or"),
        ({"test": "uniaxal"}, ValueError, "did you mean 'uniaxial'"),
        ({"stress_kind": "normal"}, ValueError, "did you mean 'nominal'"),
    ],
)
def test_what_does_not_fit_the_file_is_refused_with_what_does(export, changes, error, message):
    with pytest.raises(error, match=message):
        read_curve(export, **columns(**changes))


def test_files_that_are_no_text_or_missing_or_empty_are_named(tmp_path):
    for name, data, message in (
        ("missing.csv", None, "cannot be read: No such file"),
        ("empty.csv", b"\n;;\n", "is empty"),
        ("book.xls", b"\xd0\xcf\x00\x00", "is no text file: export the test"),
        ("header.csv", b"Strain (%);Stress (MPa)\n", "has no numbers below its header"),
    ):
        path = tmp_path / name
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(ObservationError, match=message):
            read_curve(path, **columns())

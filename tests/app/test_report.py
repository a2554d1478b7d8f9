"""What a run prints at its end says nothing that is not so."""

from __future__ import annotations

import shlex

import pytest

from simlayer.app.report import format_files, format_table

STRESS = {"value": 1e3, "unit": "Pa", "time": 0.1}


@pytest.mark.parametrize(
    ("force", "text"),
    [
        ([0.0, 3.0, 4.0], "von Mises stress up to 1e+03 Pa at 0.1 s, held by up to 5 N at 0.2 s"),
        ([0.0, 0.0, 0.0], "von Mises stress up to 1e+03 Pa at 0.1 s"),
    ],
)
def test_only_a_body_with_fixed_vertices_is_held(force, text):
    reaction = {"value": force, "unit": "N", "time": 0.2}
    readouts = {"largest_reaction": reaction, "largest_von_mises_stress": STRESS}
    assert format_table({"parameters": {}, "readouts": readouts}) == f"The body found: {text}"


def test_a_body_without_stress_and_reaction_has_no_line():
    reaction = {"value": [0.0, 0.0, 0.0], "unit": "N", "time": 0.0}
    assert format_table({"parameters": {}, "readouts": {"largest_reaction": reaction}}) == ""


def test_the_command_of_the_viewer_can_be_copied_whatever_the_run_is_named(tmp_path):
    folder = tmp_path / "a & b's"
    folder.mkdir()
    (folder / "motion.pvd").touch()
    command = format_files(folder).splitlines()[-1].partition("simlayer-view ")[2]
    assert shlex.split(command) == [str(folder)]

"""What a run prints at its end."""

from __future__ import annotations

import shlex

from simlayer.app.report import format_files


def test_the_command_of_the_viewer_can_be_copied_whatever_the_run_is_named(tmp_path):
    folder = tmp_path / "a & b's"
    folder.mkdir()
    (folder / "motion.pvd").touch()
    command = format_files(folder).splitlines()[-1].partition("simlayer-view ")[2]
    assert shlex.split(command) == [str(folder)]

"""Checkpoints: whole at any moment, the one before where the last cannot be read, and never code."""

import os
from pathlib import Path

import pytest
import torch

from simlayer.app.checkpoints import LAST, PREVIOUS, WholeCheckpoints, find_checkpoint
from simlayer.errors import ConfigError


def checkpoint(epoch):
    return {"epoch": epoch, "state_dict": {}, "callbacks": {}, "optimizer_states": [], "loops": {}}


@pytest.fixture
def folder(tmp_path):
    """The folder of a run of three epochs."""
    for epoch in range(3):
        WholeCheckpoints().save_checkpoint(checkpoint(epoch), tmp_path / LAST)
    return tmp_path


class Code:
    """Runs when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def plant(path):
    torch.save(checkpoint(2) | {"extra": Code()}, path)


DAMAGES = {
    "cut": cut,
    "empty": lambda path: path.write_bytes(b""),
    "code": plant,
    "other": lambda path: torch.save({"weights": torch.ones(2)}, path),
}


def test_a_run_resumes_from_its_last_epoch(folder, tmp_path_factory):
    path, note = find_checkpoint(folder)
    assert path == folder / LAST
    assert "after 3 epoch(s)" in note
    assert find_checkpoint(tmp_path_factory.mktemp("new")) == (None, "")


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_unreadable_checkpoint_is_named_and_the_one_before_taken(folder, damage, monkeypatch):
    monkeypatch.chdir(folder)
    DAMAGES[damage](folder / LAST)
    path, note = find_checkpoint(folder)
    assert path == folder / PREVIOUS
    assert str(folder / LAST) in note
    assert "after 2 epoch(s)" in note
    DAMAGES[damage](folder / PREVIOUS)
    with pytest.raises(ConfigError, match=r"Remove .* to start this run again") as error:
        find_checkpoint(folder)
    assert str(folder / LAST) in str(error.value)
    assert not Path("ran").exists()


def test_between_the_two_names_the_one_before_is_taken(folder):
    (folder / LAST).unlink()
    assert find_checkpoint(folder)[0] == folder / PREVIOUS

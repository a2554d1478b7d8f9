"""What takes long says what it is; what does not says nothing."""

from __future__ import annotations

import io
import sys
import time

import pytest

from simlayer.app import waiting
from simlayer.app.waiting import Waiting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(waiting, "SLOW", 0.02)
    monkeypatch.setattr(waiting, "EVERY", 0.01)


def test_what_takes_little_time_shows_nothing(capsys):
    with Waiting("Reading"):
        pass
    assert capsys.readouterr() == ("", "")


def test_what_takes_long_shows_a_line(fast, capsys):
    with Waiting("Reading"):
        time.sleep(0.2)
    assert capsys.readouterr().out == "Reading ...\n"


def test_in_a_terminal_it_counts_the_seconds_and_leaves_nothing(fast, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with Waiting("Reading"):
        time.sleep(0.3)
    assert "Reading: 0 s" in terminal.getvalue()
    assert terminal.getvalue().rpartition("Reading")[2].rpartition("\r")[0].strip("\r0 s:") == ""


def test_it_ends_with_an_error(fast):
    with pytest.raises(ValueError, match="wrong"), Waiting("Reading") as wait:
        raise ValueError("wrong")
    assert not wait._thread.is_alive()

"""What a fit shows while it goes on, in a terminal and without one."""

from __future__ import annotations

import io
import sys

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping
from support.observed import DAMPING, E, observed_beam, observed_scenes
from torch.optim import SGD, Adam

from simlayer.app import progress
from simlayer.app.progress import FitProgress, evaluations_per_epoch, format_duration
from simlayer.identification.gauss_newton import GaussNewton
from simlayer.identification.history import History
from simlayer.identification.losses import PositionLoss
from simlayer.identification.module import ParameterIdentification
from simlayer.identification.quasi_newton import lbfgs
from simlayer.identification.scenes import scene_loader

pytestmark = [
    pytest.mark.usefixtures("float64"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def fitted(optimizer, epochs, *callbacks) -> History:
    """The history of a fit with a bar."""
    observed = observed_beam()
    scenes = observed_scenes(observed, {E: 1.2e5, DAMPING: 2.0})
    model = ParameterIdentification(
        observed, trainable=[E, DAMPING], loss=PositionLoss(), optimizer=optimizer
    )
    loader, history = scene_loader(scenes), History()
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        max_epochs=epochs,
        num_sanity_val_steps=-1,
        callbacks=[history, *callbacks, FitProgress(history)],
    )
    trainer.fit(model, loader, loader)
    return history


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.123, "0.12 s"), (61.0, "61 s"), (150.0, "2.5 min"), (9000.0, "2.5 h")]
)
def test_a_duration_has_the_digits_that_matter(seconds, text):
    assert format_duration(seconds) == text


def test_lbfgs_evaluates_several_times_per_epoch_and_others_once():
    parameters = [torch.zeros(1, requires_grad=True)]
    assert evaluations_per_epoch(lbfgs(parameters)) == 4
    assert evaluations_per_epoch(Adam(parameters)) == 1


@pytest.mark.parametrize(("epochs", "end"), [(30, "converged"), (2, "all")])
def test_a_bar_ends_full_whether_the_fit_has_converged_or_used_all_epochs(monkeypatch, epochs, end):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    history = fitted(GaussNewton, epochs)
    assert (len(history.rows) - 1 < epochs) == (end == "converged")
    last = terminal.getvalue().rstrip().rpartition("\r")[2]
    assert last.startswith("100%")
    assert f"{len(history.rows) - 1}/{len(history.rows) - 1}" in last


def test_a_bar_of_a_fit_that_fails_does_not_end_full(monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with pytest.raises(Exception, match="youngs_modulus"):
        fitted(lambda parameters: SGD(parameters, lr=1e9), 30)
    assert "100%" not in terminal.getvalue()


def test_the_first_evaluation_tells_how_long_epochs_take_where_that_is_long(monkeypatch, capsys):
    fitted(lbfgs, 1)
    assert "An epoch takes" not in capsys.readouterr().out
    monkeypatch.setattr(progress, "SLOW", 0.0)
    fitted(lbfgs, 3)
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if "An epoch takes some" in line]
    assert "all 3 together at most" in line
    assert lines.index(line) < next(
        number for number, line in enumerate(lines) if line.startswith("epoch    1  loss")
    )


def test_lbfgs_ends_with_the_epoch_in_which_it_no_longer_moves(monkeypatch):
    # Without it only the callback would stop, after three more epochs that change nothing.
    history = fitted(
        lbfgs, 60, EarlyStopping("loss", patience=3, min_delta=0.0, check_on_train_epoch_end=True)
    )
    *_, before, last = (row["values"] for row in history.rows)
    moved = [a["values"] != b["values"] for a, b in zip(history.rows, history.rows[1:], strict=False)]
    assert before == last
    assert all(moved[:-1])

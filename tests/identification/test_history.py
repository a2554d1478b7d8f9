"""The history of a fit: the first guess, and what every epoch came to."""

import math

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger
from support.observed import E, observed_beam, observed_scenes
from torch.optim import Adam

from simlayer.identification.history import History, errors_by_region, relative_error
from simlayer.identification.losses import PositionLoss
from simlayer.identification.module import ParameterIdentification
from simlayer.identification.scenes import scene_loader
from simlayer.identification.unknowns import summarize

pytestmark = [
    pytest.mark.usefixtures("float64"),
    # The scenes are tensors in memory: workers would only slow their loading down.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Lightning asks torch for something by its old name.
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
]
V = "initial.velocities"
REFERENCE = {E: torch.tensor(1.2e5), V: torch.tensor([[1.0, 0.0, 0.0]])}


class Kept(Logger):
    """Keeps what is logged."""

    name, version = "kept", 0

    def __init__(self):
        super().__init__()
        self.metrics = []

    def log_metrics(self, metrics, step=None):
        # What Lightning logs of its own comes too.
        if "loss" in metrics and "epoch" not in metrics:
            self.metrics.append((step, dict(metrics)))

    def log_hyperparams(self, *_, **__):
        pass


def fit(*, epochs, history, logger=None, resumed=None):
    observed = observed_beam()
    scenes = observed_scenes(observed, REFERENCE)
    model = ParameterIdentification(
        observed, trainable=[E, V], loss=PositionLoss(0.01), optimizer=lambda p: Adam(p, lr=0.05)
    )
    trainer = Trainer(
        accelerator="cpu", logger=logger or False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=-1, max_epochs=epochs, callbacks=[history],
        log_every_n_steps=1,
    )  # fmt: skip
    loader = scene_loader(scenes)
    start = model.total_loss(scenes).item()
    trainer.fit(model, loader, loader, ckpt_path=resumed)
    return model, trainer, start, model.total_loss(scenes).item()


def test_the_first_guess_and_every_epoch_have_a_row_of_the_loss_and_the_unknowns():
    history = History(REFERENCE)
    model, _, start, end = fit(epochs=3, history=history)
    assert [row["epoch"] for row in history.rows] == [0, 1, 2, 3]
    assert history.rows[0]["loss"] == pytest.approx(start, rel=1e-12)
    assert history.rows[0]["values"][E] == pytest.approx(1e5)
    assert history.rows[0]["values"][V] == [0.0, 0.0, 0.0]
    assert history.rows[-1]["loss"] == pytest.approx(end, rel=1e-12)
    assert history.rows[-1]["values"][E] == pytest.approx(float(model.values()[E]), rel=1e-14)
    assert min(row["loss"] for row in history.rows) < start
    assert history.series(E) == [row["values"][E] for row in history.rows]
    assert history.series(V)[-1] == pytest.approx(float(model.values()[V].mean()))


def test_loggers_get_every_row_with_errors_and_gradients():
    history, kept = History(REFERENCE), Kept()
    fit(epochs=2, history=history, logger=kept)
    assert [step for step, _ in kept.metrics] == [0, 1, 2]
    first, last = kept.metrics[0][1], kept.metrics[-1][1]
    assert first[f"error/{E}"] == pytest.approx(1 - 1 / 1.2)
    assert first[f"error/{V}"] == pytest.approx(1.0)
    assert set(last) - set(first) == {f"gradient_norm/{E}", f"gradient_norm/{V}"}
    assert {E, f"{V}.0", f"{V}.1", f"{V}.2", "loss"} <= set(first)
    assert [metrics["loss"] for _, metrics in kept.metrics] == [row["loss"] for row in history.rows]


def test_a_resumed_fit_has_a_whole_history(tmp_path):
    whole = History()
    fit(epochs=4, history=whole)
    _, trainer, _, _ = fit(epochs=2, history=History())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed = History()
    fit(epochs=4, history=resumed, resumed=tmp_path / "last.ckpt")
    assert [row["epoch"] for row in resumed.rows] == [0, 1, 2, 3, 4]
    assert [row["loss"] for row in resumed.rows] == pytest.approx(
        [row["loss"] for row in whole.rows], rel=1e-9
    )


def test_the_best_values_are_those_of_the_lowest_loss_of_any_evaluation_also_after_resuming(tmp_path):
    history = History()
    model, trainer, _, _ = fit(epochs=8, history=history)
    assert history.best_loss <= min(row["loss"] for row in history.rows)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    history.load_best(model)
    best = model.values()
    resumed = History()
    model, _, start, _ = fit(epochs=8, history=resumed, resumed=tmp_path / "last.ckpt")
    assert resumed.best_loss == history.best_loss < start
    resumed.load_best(model)
    assert all(torch.equal(model.values()[name], value) for name, value in best.items())


def test_a_reference_of_many_values_is_divided_by_its_quartiles():
    reference = torch.arange(1.0, 101.0)
    regions = errors_by_region(reference * 1.1, reference)
    assert [region["values"] for region in regions] == [25] * 4
    assert regions[0]["reference"] == [1.0, 25.0]
    assert regions[3]["worst_error"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3.0, 3.0), ([3.0], 3.0), ([[1.0, 2.0, 3.0]], [1.0, 2.0, 3.0]), ([1.0, 2.0, 3.0, 6.0], 3.0)],
)
def test_a_few_numbers_are_listed_and_many_are_their_mean(value, expected):
    assert summarize(torch.tensor(value)) == expected


@pytest.mark.parametrize(
    ("value", "reference", "expected"),
    [
        (1.1, 1.0, 0.1),
        (0.9, 1.0, 0.1),
        (-1.0, -2.0, 0.5),
        ([1.0], 2.0, 0.5),
        # A vector by its length: a component may be zero.
        ([[3.0, 0.1, 4.0]], [[3.0, 0.0, 4.0]], 0.02),
        # A field by the median, which a few wrong entries do not change.
        ([1.1, 2.2, 3.3, 4.4, 50.0], [1.0, 2.0, 3.0, 4.0, 5.0], 0.1),
        ([1.1, 1.1, 1.1, 1.1, 9.0], 1.0, 0.1),
    ],
)
def test_the_relative_error_is_of_a_number_of_a_length_or_the_median_of_a_field(value, reference, expected):
    found = relative_error(torch.tensor(value), torch.tensor(reference, dtype=torch.float64))
    assert found == pytest.approx(expected, rel=1e-12)


def test_a_field_that_should_be_one_number_has_the_median_error_of_its_entries():
    field = torch.full((9,), 2.0)
    assert relative_error(field, torch.tensor(1.0)) == 1.0
    assert not math.isnan(relative_error(field.float(), torch.tensor(1.0)))


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("E", "reference must map names to"),
        (0, "reference must map names to"),
        ([(E, 1.0)], "reference must map names to"),
        ({1: 1.0}, r"reference\[1\] must be"),
        ({"": 1.0}, "reference must have names that are not empty"),
        ({E: None}, rf"reference\['{E}'\] must be a number or an array of numbers, got None"),
        ({E: "stiff"}, rf"reference\['{E}'\] must be a number or an array of numbers, got 'stiff'"),
    ],
)
def test_a_reference_maps_names_to_numbers(reference, message):
    with pytest.raises((TypeError, ValueError), match=message):
        History(reference)


def test_a_reference_of_numbers_is_kept_as_tensors():
    kept = History({E: 2.0, V: torch.ones(1, 3)}).reference
    assert {name: value.shape for name, value in kept.items()} == {E: (), V: (1, 3)}
    assert not History().reference

"""Loggers of a run: TensorBoard and MLflow get every epoch, also when resumed; W&B a table of parameters."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from simlayer.app.loggers import parameter_table
from simlayer.app.main import main

E = "forces.elastic.material.youngs_modulus"
SMALL = [
    *("mesh=box", "mesh.cells=[2,1,1]", "constraints.fixed.tag=x_min", "material=linear"),
    *("duration=0.002", f"trainable=[{E}]", "optimizer=adam", "run_name=test"),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def losses(run: Path) -> list[float]:
    """The losses of the CSV log, which is tested elsewhere."""
    head, *rows = (run / "csv/metrics.csv").read_text().splitlines()
    return [float(row.split(",")[head.split(",").index("loss")]) for row in rows]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_has_the_loss_of_every_epoch(folder):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for epochs in (1, 2):
        main([*SMALL, "logger=tensorboard", f"trainer.max_epochs={epochs}"])
    log = events.EventAccumulator(str(folder / "outputs/test/tensorboard"))
    log.Reload()
    series = {event.step: event.value for event in log.Scalars("loss")}
    assert list(series.values()) == pytest.approx(losses(folder / "outputs/test"), rel=1e-6)
    assert list(series) == [0, 1, 2]


@pytest.mark.filterwarnings("ignore")  # of MLflow's own, which differ from version to version
def test_mlflow_has_one_run_with_the_loss_of_every_epoch(folder):
    mlflow = pytest.importorskip("mlflow")
    for epochs in (1, 2):
        main([*SMALL, "logger=mlflow", f"trainer.max_epochs={epochs}"])
    client = mlflow.MlflowClient("sqlite:///mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("simlayer").experiment_id])
    assert run.info.run_name == "test"
    assert run.data.params["material.youngs_modulus"] == "300000.0"
    series = {metric.step: metric.value for metric in client.get_metric_history(run.info.run_id, "loss")}
    assert list(series.values()) == pytest.approx(losses(folder / "outputs/test"), rel=1e-9)


def test_wandb_has_a_table_of_parameters_with_their_standard_errors(folder):
    main([*SMALL, "logger=wandb_offline", "trainer.max_epochs=1"])
    (path,) = (folder / "outputs/test/wandb").glob("offline-run-*/files/media/table/parameters*.table.json")
    table = json.loads(path.read_text())
    (row,) = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    found = json.loads((folder / "outputs/test/results.json").read_text())["parameters"][E]
    assert (row["parameter"], row["unit"]) == (E, "Pa")
    assert row["found"] == pytest.approx(found["found"])
    assert row["standard_error"] == pytest.approx(found["standard_error"])


def test_a_vector_is_a_text_in_the_table_and_what_is_unknown_is_empty():
    row = {
        "initial": [0.0, 1.0],
        "found": [0.0, 2.0],
        "reference": None,
        "relative_error": None,
        "unit": "m/s",
    }
    assert parameter_table({"v": row}).data == [["v", "m/s", "[0.0, 1.0]", "[0.0, 2.0]", None, None, None]]


@pytest.mark.parametrize("logger", ["tensorboard", "mlflow"])
def test_a_logger_whose_package_is_missing_says_what_to_install(folder, monkeypatch, logger):
    for name in ("tensorboard", "tensorboardX", "mlflow", "mlflow.tracking"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("simlayer.app.loggers.find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=rf"logger={logger} needs .*pip install 'simlayer\[{logger}\]'"):
        main([*SMALL, f"logger={logger}"])
    assert not (folder / "outputs/test/results.json").exists()

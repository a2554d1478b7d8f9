"""The folder of a run: new, gone on from as it was, or refused."""

import json
import re

import pytest
import torch
from omegaconf import OmegaConf

from simlayer.app.run_folder import CHECKPOINT, open_folder
from simlayer.errors import ConfigError


def config(**changes):
    tree = {
        "name": "run",
        "material": {"youngs_modulus": 1e5, "law": "${name}"},
        "trainable": ["a", "b"],
        "fields": {},
        "trainer": {"max_epochs": 4},
        "duration": None,
        "threads": 1,
        "output": "here",
    }
    made = OmegaConf.create(tree)
    for key, value in changes.items():
        OmegaConf.update(made, key.replace("__", "."), value)
    return made


@pytest.fixture
def folder(tmp_path):
    """That of a run with a checkpoint."""
    path = tmp_path / "outputs" / "run"
    assert open_folder(path, config()) is None
    (path / CHECKPOINT).parent.mkdir()
    (path / CHECKPOINT).touch()
    return path


def test_a_new_folder_holds_the_configuration_with_its_references_and_the_versions(tmp_path):
    assert open_folder(tmp_path / "a" / "b", config()) is None
    format_value = OmegaConf.load(tmp_path / "a" / "b" / "config.yaml")
    assert OmegaConf.to_container(format_value) == OmegaConf.to_container(config())
    assert OmegaConf.to_container(format_value)["material"]["law"] == "${name}"
    versions = json.loads((tmp_path / "a" / "b" / "versions.json").read_text())
    assert versions["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert {"simlayer", "lightning", "python"} <= set(versions)


def test_the_same_run_goes_on_from_its_last_checkpoint(folder):
    assert open_folder(folder, config()) == folder / CHECKPOINT
    (folder / CHECKPOINT).unlink()
    assert open_folder(folder, config()) is None


def test_how_long_and_how_it_is_computed_may_change(folder):
    changed = config(trainer__max_epochs=9, threads=2, output="there")
    assert open_folder(folder, changed) == folder / CHECKPOINT
    assert OmegaConf.load(folder / "config.yaml").trainer.max_epochs == 9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"material__youngs_modulus": 2e5}, "material.youngs_modulus: 100000.0 -> 200000.0"),
        ({"trainable": ["a"]}, "trainable: ['a', 'b'] -> ['a']"),
        ({"duration": 0.1}, "duration: None -> 0.1"),
        ({"fields": {"a": "cells"}}, "fields.a: None -> cells"),
        ({"name": "other"}, "name: run -> other"),
    ],
)
def test_another_experiment_is_refused_with_what_differs_and_nothing_is_overwritten(folder, changes, message):
    before = (folder / "config.yaml").read_text()
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        open_folder(folder, config(**changes))
    assert "holds a run of another experiment" in str(error.value)
    assert "choose another run_name" in str(error.value)
    assert (folder / "config.yaml").read_text() == before


def test_a_folder_of_something_else_is_refused_and_an_empty_one_taken(tmp_path):
    assert open_folder(tmp_path, config()) is None
    other = tmp_path / "photos"
    other.mkdir()
    (other / "me.png").touch()
    with pytest.raises(ConfigError, match="photos is neither empty nor the folder of a run"):
        open_folder(other, config())
    assert [path.name for path in other.iterdir()] == ["me.png"]

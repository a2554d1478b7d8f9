"""The folder of a run: new, that of an earlier run, or refused; its files are whole at any moment."""

import json
import re
import resource
import subprocess
import sys

import pytest
import torch
from omegaconf import OmegaConf

from simlayer.app.run_folder import locked, record_config, write_whole
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


def open_folder(folder, config):
    with locked(folder):
        record_config(folder, config)


@pytest.fixture
def folder(tmp_path):
    """That of a run."""
    open_folder(tmp_path / "outputs" / "run", config())
    return tmp_path / "outputs" / "run"


def test_a_new_folder_holds_the_configuration_with_its_references_and_the_versions(tmp_path):
    open_folder(tmp_path / "a" / "b", config())
    recorded = OmegaConf.load(tmp_path / "a" / "b" / "config.yaml")
    assert OmegaConf.to_container(recorded) == OmegaConf.to_container(config())
    assert OmegaConf.to_container(recorded)["material"]["law"] == "${name}"
    versions = json.loads((tmp_path / "a" / "b" / "versions.json").read_text())
    assert versions["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert {"simlayer", "lightning", "python"} <= set(versions)


def test_how_long_and_how_it_is_computed_may_change(folder):
    open_folder(folder, config(trainer__max_epochs=9, threads=2, output="there"))
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
    (tmp_path / "empty").mkdir()
    open_folder(tmp_path / "empty", config())
    other = tmp_path / "photos"
    other.mkdir()
    (other / "me.png").touch()
    with pytest.raises(ConfigError, match="photos is neither empty nor the folder of a run"):
        open_folder(other, config())
    assert [path.name for path in other.iterdir()] == ["me.png"]


@pytest.mark.parametrize("lines", [1, 3, 8])
def test_a_configuration_that_was_cut_short_is_named_with_the_remedy(folder, lines):
    path = folder / "config.yaml"
    path.write_text("\n".join(path.read_text().splitlines()[:lines]))
    with pytest.raises(ConfigError, match=f"{re.escape(str(path))} cannot be read.*--cfg job"):
        open_folder(folder, config())
    path.write_text(OmegaConf.to_yaml(config()))
    open_folder(folder, config())


def test_a_folder_belongs_to_one_process_until_that_ends_however_it_ends(folder):
    lock = f"lock = FileLock({str(folder / '.lock')!r}); lock.acquire()"
    hold = f"from filelock import FileLock; {lock}; print(); input()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=-1, stdout=-1, text=True) as other:
        other.stdout.readline()
        with pytest.raises(ConfigError, match=r"another process is running in .*another run_name"):
            open_folder(folder, config())
        other.kill()
    open_folder(folder, config())


def test_a_file_that_finds_no_room_leaves_what_was_there(tmp_path):
    path = tmp_path / "results.json"
    write_whole(path, "before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=re.escape(str(path))):
            write_whole(path, "x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]

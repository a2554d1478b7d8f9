"""Measurements that are wrong, through `train.py`: one error that names the place, the value and a remedy."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from simlayer.app.main import main

HEAD = """# @package _global_
defaults:
  - override /task: laboratory
  - override /material: linear
  - override /step: equilibrium
  - override /constraints: clamped
  - override /mesh: box
name: wrong
mesh: {cells: [2, 1, 1], size: [0.2, 0.1, 0.1], element: hex8}
constraints: {fixed: {tag: x_min}}
task:
  unknowns: [youngs_modulus]
  tests:
    own:
"""
PULL = {"path": "pull.csv", "amount": "Travel", "amount_unit": "mm", "load": "Force", "load_unit": "N"}
SCAN = {"kind": "scan", "path": "scan.xyz", "unit": "mm"}
CAVITY = {
    "kind": "pressure_volume",
    "path": "inflation.csv",
    **{"amount": "p", "amount_unit": "kPa", "load": "V", "load_unit": "mL", "cavity": "cavity"},
    "forces": {"cavity": {"_target_": "simlayer.app.actuators.cavity_pressure", "_partial_": True}},
}
CAVITY["forces"]["cavity"] |= {"pressure": 0.0, "surface": {"tag": "x_max"}}
FIELD = {"kind": "displacements", "path": "field.csv", "points": {"x": "X"}, "points_unit": "mm"}
FIELD |= {"displacements": {"x": "U"}, "displacements_unit": "mm"}
ON_TOP = np.stack([np.linspace(0, 200, 20), np.full(20, 50.0), np.full(20, 100.0)], 1)


def changed(test, **changes):
    return {key: value for key, value in {**test, **changes}.items() if value != "REMOVED"}


def text(points):
    return "\n".join(" ".join(map(str, row)) for row in points)


PLY = "ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nend_header\n"

# What is wrong, the test, its file, and what the message says: the place, the value, the remedy.
CASES = {
    "the time decreases": (
        changed(PULL, time="Time", time_unit="s"),
        "Time;Travel;Force\n0;1;2\n1;2;4\n0.5;3;6\n",
        ["task.tests.own", "pull.csv: line 4", "from 1 s to 0.5 s", "remove lines"],
    ),
    "a column is missing": (
        PULL,
        "Travel;Kraft\n1;2\n",
        ["task.tests.own", "pull.csv", "'Force'", "'Kraft'", "Give titles as they stand there"],
    ),
    "a title is misspelt": (
        changed(PULL, load="force"),
        "Travel;Force\n1;2\n",
        ["task.tests.own", "pull.csv", "'force'", "did you mean 'Force'"],
    ),
    "an index is beyond the columns": (
        changed(PULL, amount=0, load=7),
        "1;2\n2;4\n",
        ["task.tests.own", "pull.csv", "columns 0, 7", "its first line is '1;2'"],
    ),
    "a row is too short": (
        PULL,
        "Travel;Force\n1;2\n2;4\n3;4\n;4\n",
        ["task.tests.own", "pull.csv: line 5", "amount must be a finite number, got ''", "remove the line"],
    ),
    "a unit is not given": (
        changed(PULL, load_unit="REMOVED"),
        "Travel;Force\n1;2\n",
        ["task.tests.own.load_unit must be given", "pull.csv", "task.common.load_unit"],
    ),
    "the title says another unit": (
        changed(PULL, load="Force [kN]"),
        "Travel;Force [kN]\n1;2\n",
        ["task.tests.own", "pull.csv", "'Force [kN]' is in kN", "set load_unit='kN'"],
    ),
    "a column has NaN only": (
        PULL,
        "Travel;Force\n1;nan\n2;\n",
        ["task.tests.own", "pull.csv", "'Force'", "has no number in 2 rows", "give another column"],
    ),
    "there is no file": (
        changed(PULL, path="none.csv"),
        "",
        ["task.tests.own", "none.csv", "No such file", "looked from"],
    ),
    "a field has NaN only": (
        FIELD,
        "X,U\n1,\n2,nan\n",
        ["task.tests.own", "field.csv", "no point of 2 has a displacement", "'U'"],
    ),
    "a cavity is open": (
        CAVITY,
        "p;V\n1;2\n",
        ["task.tests.own", "must be closed, got 4 edges at its rim", "mesh a lid"],
    ),
    "a scan has no unit": (
        changed(SCAN, unit="REMOVED"),
        text(ON_TOP),
        ["task.tests.own", "scan.xyz", "unit or scale must be given", "unit=mm"],
    ),
    "a scan has two units": (
        changed(SCAN, scale=1e-3),
        text(ON_TOP),
        ["task.tests.own", "scan.xyz", "unit='mm' and scale=0.001", "one of them"],
    ),
    "a scan in millimetres is said to be in metres": (
        changed(SCAN, unit="m"),
        text(ON_TOP),
        ["task.tests.own", "scan.xyz", "160 m, 800 times the 0.2 m", "in millimetres?", "unit=mm"],
    ),
    "a scan is empty": (
        SCAN,
        "# x y z\n",
        ["task.tests.own", "scan.xyz", "has no points", "export"],
    ),
    "a scan of triangles is empty": (
        changed(SCAN, path="scan.ply"),
        PLY,
        ["task.tests.own", "scan.ply", "has no points", "export"],
    ),
    "a scan has NaN only": (
        SCAN,
        "nan nan nan\nnan nan nan\n",
        ["task.tests.own", "scan.xyz", "all 2 points are NaN or infinite", "export"],
    ),
    "a scan is far from the body": (
        SCAN,
        text(ON_TOP + 1e3),
        ["task.tests.own", "scan.xyz", "m away from the specimen", "extent is 0.2 m", "move the scan"],
    ),
    "a scan does not exist": (
        changed(SCAN, path="none.ply"),
        "",
        ["task.tests.own", "none.ply does not exist", "looked from"],
    ),
    "a line of a scan has a word": (
        SCAN,
        "1 2 3\n4 five 6\n",
        ["task.tests.own", "scan.xyz: line 2", "'five' is no number", "correct"],
    ),
    "a key is unknown": (
        changed(SCAN, column="x"),
        text(ON_TOP),
        ["task.tests.own.column is no key of a test of kind scan", "did you mean 'count'"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_refused_before_anything_is_computed(case, tmp_path, monkeypatch, capsys):
    test, content, parts = CASES[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine/experiment").mkdir(parents=True)
    body = yaml.safe_dump(json.loads(json.dumps(test)), sort_keys=False)
    indented = "".join(f"      {line}\n" for line in body.splitlines())
    (tmp_path / "mine/experiment/own.yaml").write_text(HEAD + indented)
    if content:
        Path(test["path"]).write_text(content)
    with pytest.raises(SystemExit) as refused:
        main(["experiment=own", "run_name=test", "--config-dir", "mine"])
    message = str(refused.value)
    missing = [part for part in parts if part not in message]
    assert not missing, message
    assert "step 1" not in capsys.readouterr().out
    assert not list(tmp_path.glob("*/test/results.json"))

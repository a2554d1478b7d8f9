"""A wheel has everything that the package needs, without the checkout beside it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SMALL = [
    *("mesh=box", "mesh.cells=[2,1,1]", "constraints.fixed.tag=x_min", "material=linear", "logger=csv"),
    *("duration=0.002", "trainer.max_epochs=1", "run_name=test"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of the sources as they are."""
    folder = tmp_path_factory.mktemp("wheel")
    options = [
        "--no-deps",
        "--quiet",
        "--constraint",
        str(ROOT / "constraints.txt"),
        "--wheel-dir",
        str(folder),
    ]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(ROOT)], check=True, timeout=300)
    (path,) = folder.glob("*.whl")
    return path


def test_a_run_from_an_empty_folder_has_its_configurations_templates_and_meshes(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "installed")
    code = "import sys, simlayer.app.main as main; print(main.__file__); main.main(sys.argv[1:])"
    # Without the editable installation of these tests, whose path would come after this one.
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed"), "OMP_NUM_THREADS": "1"}
    (empty := tmp_path / "empty").mkdir()
    for arguments in (["--cfg", "job"], SMALL):  # The first is the demonstration with its mesh.
        result = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=empty,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.startswith(str(tmp_path / "installed"))
    assert (empty / "outputs/test/report.html").exists()


def test_it_is_typed_has_its_commands_and_holds_nothing_of_the_tests(wheel):
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        (entries,) = [name for name in names if name.endswith("entry_points.txt")]
        commands = file.read(entries).decode()
    assert {"simlayer/py.typed", "simlayer/configs/train.yaml", "simlayer/app/templates/report.html"} <= set(
        names
    )
    assert "simlayer/app/assets/cantilever.msh" in names
    assert "simlayer-train = " in commands
    assert "simlayer-view = " in commands
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"simlayer"}

"""`simlayer-view`: what it prints, writes, serves and refuses."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import torch
from support.motions import MESH, run_folder, scene_of

from simlayer.viewer.command import main

ROOT = Path(__file__).parents[2]


def failure(capsys, *arguments):
    with pytest.raises(SystemExit) as error:
        main(list(map(str, arguments)))
    assert error.value.code == 1
    return capsys.readouterr().err


def test_a_page_is_written(tmp_path, capsys):
    run, page = run_folder(tmp_path / "run"), tmp_path / "new" / "motion.html"
    main([str(run), "--html", str(page), "--overlaid"])
    out = capsys.readouterr().out
    assert "run: 6 frames of 74 vertices, 0.5 s; displacement [m], observed points\n" in out
    assert f"Written to {page}, {page.stat().st_size / 1e6:.1f} MB" in out
    assert scene_of(page.read_text(encoding="utf-8"))[0]["overlaid"] is True


def test_runs_of_the_same_name_are_numbered(tmp_path):
    runs = [run_folder(tmp_path / name / "run") for name in "ab"]
    main([*map(str, runs), "--html", str(tmp_path / "motion.html")])
    scene, _ = scene_of((tmp_path / "motion.html").read_text(encoding="utf-8"))
    assert [described["name"] for described in scene["motions"]] == ["run (1)", "run (2)"]


def test_the_page_is_served_until_ctrl_c(tmp_path):
    run = run_folder(tmp_path / "run")
    command = "from simlayer.viewer.command import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, str(run), "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        lines = [process.stdout.readline(), process.stdout.readline()]
        address = re.match(r"(http://127\.0\.0\.1:\d+/) shows them until Ctrl-C", lines[1])[1]
        with urllib.request.urlopen(address) as answer:
            assert scene_of(answer.read().decode())[0]["motions"][0]["name"] == "run"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, said) == (0, "")


def test_the_browser_is_opened_at_the_address(tmp_path, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)

    def interrupted(server):
        while not opened:
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr("simlayer.viewer.server.PageServer.serve_forever", interrupted)
    main([str(run_folder(tmp_path / "run"))])
    assert f"{opened[0]} shows them until Ctrl-C" in capsys.readouterr().out


def test_errors_say_what_is_wrong(tmp_path, capsys, monkeypatch):
    assert "simlayer-view: missing does not exist" in failure(capsys, "missing")
    assert "is no folder of a run" in failure(capsys, tmp_path)
    run = run_folder(tmp_path / "run")
    assert "port 99999 cannot be used" in failure(capsys, run, "--port", "99999")
    assert f"{tmp_path}" in failure(capsys, run, "--html", tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'simlayer[viewer]'" in failure(capsys, run)


def test_what_is_left_out_is_said(tmp_path, capsys):
    stress = torch.full((len(MESH.vertices),), torch.nan)
    run = run_folder(tmp_path / "run", vertex_fields={"stress [Pa]": stress})
    main([str(run), "--html", str(tmp_path / "motion.html")])
    assert (
        f"simlayer-view: {run / 'motion.pvd'}: stress [Pa] is not finite everywhere"
        in capsys.readouterr().err
    )


def test_the_help_has_examples(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert "simlayer-view outputs/run --html motion.html" in out
    assert "--no-browser" in out

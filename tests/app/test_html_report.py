"""The report of a run: everything in one file, readable without its folder and without a network."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser

import pytest

from simlayer.app.html_report import EMBEDDED, captions, parameter_table, write_report

# A picture of one pixel.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
E = "forces.elastic.material.youngs_modulus"
ROW = {"initial": 2e5, "found": 1e5, "reference": 1e5, "relative_error": 0.0, "unit": "Pa"}
UNKNOWN = {
    **ROW,
    "found": None,
    "stopped": 3e5,
    "determined": False,
    "reference": None,
    "relative_error": None,
}


class Page(HTMLParser):
    """The texts of a page, what it refers to, and whether its elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts, self.references, self._open = [], [], []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img"):
            self._open.append(tag)
        self.references += [value for key, value in attributes if key in ("src", "href")]

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip().replace("\u200b", ""))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.yaml").write_text("name: <beam>\n")
    (tmp_path / "versions.json").write_text(json.dumps({"torch": "2.13.0"}))
    for name in ("uncertainty", "found_over_take", "my_field", "found_over_target"):
        (tmp_path / f"{name}.png").write_bytes(PIXEL)
    (tmp_path / "motion.mp4").write_bytes(b"film")
    return tmp_path


def report(folder, **changes):
    results = {"parameters": {E: ROW}, "ended": "converged", "seconds": 2.5, "epochs": 7, **changes}
    summary = f"{E}: 200000 Pa -> 100000 Pa\nResidual of the fit: 1 mm rms"
    description = [("Body", "Mesh(a < b;\n  and more)")]
    command = "python train.py 'fields={a: cells}'"
    write_report(folder, description=description, results=results, summary=summary, command=command)
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_it_has_what_was_sought_and_found_the_command_the_configuration_and_the_versions(folder):
    texts = report(folder).texts
    for text in (
        "Ended: converged, 2.5 s, 7 epochs.",
        E,
        "100000 Pa",
        "0.00%",
        "Residual of the fit: 1 mm rms",
    ):
        assert text in texts
    for text in ("Mesh(a < b;\n  and more)", "python train.py 'fields={a: cells}'", "name: <beam>", "2.13.0"):
        assert text in texts


def test_pictures_and_movie_are_in_the_file_and_nothing_is_fetched(folder):
    embedded = [value for value in report(folder).references if value.startswith("data:")]
    pictures = [value.partition("base64,")[2] for value in embedded if "image/png" in value]
    assert [base64.b64decode(picture) for picture in pictures] == [PIXEL] * 4
    assert not re.search(r"(src|href)=\"(https?:)?//", (folder / "report.html").read_text(encoding="utf-8"))


def test_the_most_telling_pictures_come_first_and_others_are_named_by_their_files(folder):
    assert [(path.stem, caption) for path, caption in captions(folder)] == [
        ("found_over_target", "The body found, over the target"),
        ("found_over_take", "Simulated over take"),
        ("my_field", "my field"),
        ("uncertainty", "Uncertainty: confidence regions of the unknowns"),
    ]


def test_files_beyond_the_limit_are_referred_to(folder):
    (folder / "found_over_target.png").write_bytes(bytes(EMBEDDED))
    references = report(folder).references
    assert (folder / "report.html").stat().st_size < 5e6
    assert "my_field.png" in references
    assert "motion.mp4" in references


def test_what_is_not_determined_is_said_before_the_table_and_has_no_value(folder):
    undetermined = {"undetermined": ["E and rho are not determined."]}
    texts = report(folder, parameters={E: UNKNOWN}, uncertainty=undetermined).texts
    assert texts.index("Not determined: E and rho are not determined.") < texts.index(E)
    assert "not determined (stopped at 300000 Pa)" in texts


def test_the_table_has_a_column_only_where_a_row_has_something_to_say():
    finer = {**UNKNOWN, "discretization": {"mesh": 5e3}}
    plain, whole = parameter_table({E: UNKNOWN}), parameter_table({E: ROW, "b": finer})
    assert [list(row) for row in plain] == [["Parameter", "Found", "First guess"]]
    columns = ["Parameter", "Found", "True value", "Error", "First guess", "With finer"]
    assert [list(row) for row in whole] == [columns] * 2
    assert whole[1]["With finer"] == "mesh +5 kPa"


def test_a_run_without_parameters_has_its_summary(folder):
    texts = report(folder, parameters={}).texts
    assert any("200000 Pa -> 100000 Pa" in text for text in texts)

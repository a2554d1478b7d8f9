"""The site is built of what the package and its configurations say."""

import importlib
import pkgutil
import re
import sys
from pathlib import Path

import pytest

import simlayer

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@pytest.fixture(autouse=True)
def _extensions(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_extensions"))


def documented() -> set[str]:
    """The full names that the pages of the reference document."""
    public_names = importlib.import_module("public_names")
    pages = "\n".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    modules = re.findall(r"```\{public-names\} (\S+)", pages)
    lines = [line for module in modules for line in public_names.entries(module)]
    return {line.split(":: ")[1] for line in lines if line.startswith(".. ")}


def test_no_public_name_is_missing_in_the_reference():
    found = documented()
    for name in set(simlayer.__all__) - {"readouts"}:  # A module, with a page of its own.
        assert f"simlayer.{name}" in found
    for module in pkgutil.iter_modules(simlayer.__path__, "simlayer."):
        # `app` is the command, `training` a former name.
        if module.ispkg and module.name != "simlayer.app":
            for name in importlib.import_module(module.name).__all__:
                assert {f"{module.name}.{name}", f"simlayer.{name}"} & found, f"{module.name}.{name}"


def test_every_page_is_in_a_table_of_contents():
    tables = "\n".join(
        (DOCS / page).read_text().replace("\n", f"\n{Path(page).parent}/")
        for page in ("index.md", "reference/index.md")
    )
    entries = {Path(line) for line in tables.splitlines()}
    for page in DOCS.rglob("*.md"):
        name = page.relative_to(DOCS).with_suffix("")
        assert name == Path("index") or name in entries, name


def test_every_experiment_has_a_section_with_what_it_prints():
    configurations = importlib.import_module("configurations")
    found = {each.name: each for each in configurations.experiments()}
    assert found.keys() == {path.stem for path in (ROOT / "configs/experiment").glob("*.yaml")}
    assert all(each.printed for each in found.values() if each.name != "blank")
    assert found["friction"].time == "in less than a minute"
    assert found["friction"].printed[0].startswith("dissipation.friction.coefficient: 0.7 -> 0.3")


def test_every_option_of_a_group_has_a_line_that_says_something():
    configurations = importlib.import_module("configurations")
    rows = [line for line in configurations.group_lines() if line.startswith("| `")]
    options = [
        path
        for path in (ROOT / "configs").glob("*/*.yaml")
        if path.parent.name not in ("hydra", "experiment")
    ]
    assert len(rows) == len(options)
    assert not [row for row in rows if len(row.split("|")[2].strip()) < 3]


def test_a_docstring_becomes_safe_markup_with_links_to_public_names():
    docstrings = importlib.import_module("markdown_docstrings")
    text = docstrings.restructured("Several `State`s of `x`, `(*batch, N)`, |x| and a *b.\n\n    y = 2 * x")
    assert r":py:obj:`State <simlayer.State>`\ s of ``x``, ``(*batch, N)``, \|x\| and a \*b." in text
    assert ".. code-block:: python\n\n    y = 2 * x" in text


def test_a_formula_becomes_mathml():
    pytest.importorskip("latex2mathml")
    convert = importlib.import_module("mathml").convert
    for page in DOCS.rglob("*.md"):
        for formula in re.findall(r"\$\$(.+?)\$\$", page.read_text(), re.DOTALL):
            written = convert(formula.strip())
            assert written.startswith("<math")
            assert "\\" not in re.sub(r"<[^>]+>", "", written), f"a command of LaTeX is left of {formula}"


def test_pictures_are_small():
    for picture in DOCS.rglob("*.png"):
        assert picture.stat().st_size <= 120_000, picture.name


def test_movies_are_small_and_each_is_shown():
    movies = {movie.name: movie.stat().st_size for movie in (DOCS / "_static").glob("*.mp4")}
    assert max(movies.values()) <= 300_000
    assert set(re.findall(r'<video src="_static/(\S+)"', (DOCS / "gallery.md").read_text())) == movies.keys()


def test_sources_of_pages_need_no_network():
    assert not re.findall(
        r"https?://", (DOCS / "conf.py").read_text() + (DOCS / "_static/simlayer.css").read_text()
    )
    assert "sphinx.ext.mathjax" not in sys.modules

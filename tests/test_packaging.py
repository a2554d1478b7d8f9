"""The versions that the package says it needs are those it is tested with."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def requirements() -> dict[str, str]:
    """The lowest version of each dependency, those of the extras included, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    text = "\n".join(line for group in groups for line in group)
    return dict(re.findall(r"^([\w-]+)>=([\d.]+)", text, re.MULTILINE))


def test_every_dependency_is_pinned_at_the_lowest_version_that_is_allowed():
    # Only what is run can be said to work: a lower bound that no run installs would be a guess.
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    for name, lowest in requirements().items():
        assert pins[name].split(".")[:2] == lowest.split(".")[:2], f"{name} is pinned at {pins[name]}"


def test_the_extra_of_the_tests_has_what_the_others_have():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (own,) = [requirement for requirement in extras.pop("dev") if requirement.startswith("simlayer[")]
    assert set(own.removeprefix("simlayer[").removesuffix("]").split(",")) == set(extras)


def test_every_extra_is_in_the_table_of_the_page_on_getting_started():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/start.md").read_text(), re.MULTILINE)
    assert set(rows) == set(extras)


def test_the_citation_is_of_this_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()  # What its schema requires.
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    assert f"{{{project['version']}}}" in (ROOT / "docs/citation.md").read_text()

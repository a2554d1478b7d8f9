"""The versions that the package says it needs are those it is tested with."""

import re
import tomllib
from pathlib import Path

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

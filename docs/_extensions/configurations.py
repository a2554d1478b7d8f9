"""Pages of the experiments, examples and options of all groups, read from `configs/` and `examples/`.

The lines `<!-- experiments -->`, `<!-- examples -->` and `<!-- groups -->` of a page stand for them.
"""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sphinx.application import Sphinx

CONFIGS = Path(__file__).parents[2] / "configs"
EXAMPLES = CONFIGS.parent / "examples"


class Experiment(NamedTuple):
    """The header of an experiment: what it is, in what time it prints what, and what else there is to say."""

    name: str
    purpose: str
    time: str
    printed: list[str]
    remarks: str


def comment(path: Path) -> list[str]:
    """Return the lines of the comment at the top of a file, without their marks."""
    lines = path.read_text().splitlines()
    lines = lines[1:] if lines[0].startswith("# @package") else lines
    count = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return [line[2:] for line in lines[:count]]


def experiment(path: Path) -> Experiment:
    """Read the header of an experiment."""
    lines = comment(path)
    prose = " ".join(line for line in lines if not line.startswith("  "))
    printed = [line.strip() for line in lines if line.startswith("  ")]
    # What stands before "Prints" says what the experiment is, and what stands after its colon are remarks.
    match = re.search(r"\s*(?:By default of a twin; prints|Prints)(?:, (?P<time>[^:]*?))?:", prose)
    if match is None:
        return Experiment(path.stem, prose, "", [], "")
    # The time may be followed by what the numbers are.
    time = (match["time"] or "").partition(",")[0]
    return Experiment(path.stem, prose[: match.start()], time, printed, prose[match.end() :].strip())


def experiments() -> list[Experiment]:
    """Return all experiments, by name."""
    return [experiment(path) for path in sorted((CONFIGS / "experiment").glob("*.yaml"))]


def experiment_lines() -> Iterator[str]:
    """Yield a table of all experiments, and a section for each."""
    yield from ("| experiment | what it is | time |", "|---|---|---|")
    for each in experiments():
        first = each.purpose.partition(". ")[0].rstrip(".")
        yield f"| [{each.name}](#experiment-{each.name.replace('_', '-')}) | {first} | {each.time or '–'} |"
    for each in experiments():
        label = f"experiment-{each.name.replace('_', '-')}"
        yield from ("", f"({label})=", f"## {each.name}", "", each.purpose, "")
        yield from ("```bash", f"python train.py experiment={each.name}", "```", "")
        if each.printed:
            yield from (
                f"It prints{', ' + each.time if each.time else ''}:",
                "",
                "```text",
                *each.printed,
                "```",
            )
        yield from ("", each.remarks)


def example_lines() -> Iterator[str]:
    """Yield a table of all examples, with the first sentence of each."""
    yield from ("| example | |", "|---|---|")
    for path in sorted(EXAMPLES.glob("*.py")):
        first = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
        yield f"| `{path.name}` | {first.rstrip('.')} |"


def meaning(path: Path) -> str:
    """Return a line about an option: the first sentence of its comment, or of what it makes."""
    if lines := comment(path):
        sentence = re.split(r"(?<=[a-z)])\. ", " ".join(lines) + " ")[0].strip().rstrip(".")
        # What follows is how to choose the option, which the table says.
        return re.split(r": \w+=", sentence)[0]
    return first_line(re.findall(r"_target_: (\S+)", path.read_text())[0])


def first_line(target: str) -> str:
    """Return the first sentence of the docstring of a class or function, by its full name."""
    module, _, name = target.rpartition(".")
    value = getattr(importlib.import_module(module), name)
    first = (value.__doc__ or "").strip().partition("\n")[0].rstrip(".")
    return first if target.startswith("simlayer") else f"`{target}`"


def group_lines() -> Iterator[str]:
    """Yield a section for each group of configurations, with a table of its options."""
    for folder in sorted(path for path in CONFIGS.iterdir() if path.is_dir()):
        if folder.name not in ("hydra", "experiment"):
            yield from ("", f"## {folder.name}", "", "| option | |", "|---|---|")
            for path in sorted(folder.glob("*.yaml")):
                yield f"| `{folder.name}={path.stem}` | {meaning(path).replace('|', chr(92) + '|')} |"


PLACES = {"experiments": experiment_lines, "groups": group_lines, "examples": example_lines}


def read_source(app: Sphinx, page: str, content: list[str]) -> None:
    """Put the generated lines in the places that a page has for them."""
    for mark, lines in PLACES.items():
        if f"<!-- {mark} -->" in content[0]:
            content[0] = content[0].replace(f"<!-- {mark} -->", "\n".join(lines()))


def setup(app: Sphinx) -> dict[str, Any]:
    """Read pages in this way."""
    app.connect("source-read", read_source)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

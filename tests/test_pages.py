"""The code of the pages runs as printed, each block by itself; commands compose, and links lead somewhere."""

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

import matplotlib
import pytest
import torch
from support.configs import composed

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")),
    "simlayer/autodiff/README.md",
    "simlayer/rollout/README.md",
]


def blocks(language: str, pages: Iterable[str] = PAGES) -> list:
    """The blocks of a language in pages, as parameters that name page and number."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return [
        pytest.param(block, id=f"{page}-{number}")
        for page in pages
        for number, block in enumerate(pattern.findall((ROOT / page).read_text()))
    ]


def commands() -> list:
    """The arguments of every `python train.py` in a shell block, as parameters."""
    found = {}
    for parameter in blocks("bash"):
        for line in parameter.values[0].splitlines():
            program, *arguments = shlex.split(line, comments=True)
            if [program, *arguments[:1]] == ["python", "train.py"]:
                found.setdefault(" ".join(arguments[1:]), pytest.param(arguments[1:], id=line))
    return list(found.values())


@pytest.fixture
def _as_a_program_of_its_own(tmp_path, monkeypatch):
    """In a folder of its own, without a display; torch's default dtype is restored."""
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(dtype)


# What Lightning says of every short fit on a CPU.
@pytest.mark.filterwarnings("ignore::UserWarning:lightning", "ignore::FutureWarning:lightning")
@pytest.mark.usefixtures("_as_a_program_of_its_own")
# The blocks of README.md run in test_readme.py.
@pytest.mark.parametrize("block", blocks("python", PAGES[1:]))
def test_a_block_runs_by_itself(block):
    exec(compile(block, "page", "exec"), {"__name__": "page"})


@pytest.mark.parametrize("arguments", commands())
def test_a_command_of_a_page_composes(arguments):
    config = composed(*arguments)
    assert (config is None) == bool({"--help", "--cfg"} & set(arguments))


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_to_files(page):
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)#\s]+)\)", text):
        if "://" not in link:
            assert ((ROOT / page).parent / link).exists(), link

"""Every notebook runs from top to bottom in a new kernel, and prints what it has kept."""

import importlib
import re
import shlex
from pathlib import Path

import nbformat
import pytest
from support.configs import composed

ROOT = Path(__file__).parents[1]
PATHS = sorted((ROOT / "examples/notebooks").glob("*.ipynb"))

pytestmark = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
# A number and its standard error: in a kernel whose sums are rounded otherwise it may have more digits.
NUMBER = re.compile(r"-?\d+(\.\d+)?")


def outputs(notebook) -> list:
    """What the cells of a notebook have printed and drawn."""
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def text(notebook) -> str:
    """What the cells of a notebook have printed."""
    return "\n".join(output.text for output in outputs(notebook) if output.output_type == "stream")


def check_values(printed: str, truth: dict[str, float]) -> None:
    """Fail unless each value is within four of its standard errors, and these are small."""
    for name, true in truth.items():
        value, error = map(float, re.search(rf"{name} = ([\d.]+) ± ([\d.]+)", printed).groups())
        assert abs(value - true) < 4 * error
        assert error < 0.05 * true


def test_it_runs_and_finds_what_it_says(path, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = importlib.import_module("run_notebooks").executed(path, tmp_path)
    assert not [output for output in outputs(notebook) if output.get("name") == "stderr"], "warnings"
    printed = text(notebook)
    if path.stem == "first_fit":
        check_values(printed, {"youngs_modulus": 200.0, "coefficient": 5.0})
    elif path.stem == "own_recording":
        check_values(printed, {"youngs_modulus": 150.0, "coefficient": 3.0, "release_time": 104.0})
    else:
        # Moduli over a decade: predicting their mean would be off by 60 %.
        assert float(re.search(r"unseen beams: ([\d.]+)%", printed)[1]) < 10
    kept = nbformat.read(path, as_version=4)
    assert NUMBER.sub("0", printed) == NUMBER.sub("0", text(kept)), "python docs/run_notebooks.py"


def test_it_is_kept_in_the_order_of_a_run_with_small_pictures(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    programs = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in programs] == list(range(1, len(programs) + 1))
    pictures = [each.data["image/png"] for each in outputs(notebook) if "image/png" in each.get("data", {})]
    assert pictures
    assert max(map(len, pictures)) * 3 / 4 < 60_000  # in base 64


def test_its_links_and_commands_lead_somewhere(path):
    notebook = nbformat.read(path, as_version=4)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for link in re.findall(r"\]\(([^)]+)\)", prose):
        assert (path.parent / link).exists(), link
    for block in re.findall(r"```bash\n(.*?)```", prose, re.DOTALL):
        program, script, *arguments = shlex.split(block.replace("\\\n", " "))
        assert (program, script) == ("python", "train.py")
        assert composed(*arguments) is not None


def test_its_page_shows_programs_text_and_pictures(path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs/_extensions"))
    page = importlib.import_module("notebooks").as_markdown(path)
    notebook = nbformat.read(path, as_version=4)
    assert page.startswith("# ")
    assert page.count("```python") == sum(cell.cell_type == "code" for cell in notebook.cells)
    assert page.count("data:image/png") == sum(
        "image/png" in each.get("data", {}) for each in outputs(notebook)
    )
    assert "%matplotlib" not in page
    assert "../docs/" not in page
    assert f"<!-- notebook: {path.stem} -->" in (ROOT / f"docs/notebooks/{path.stem}.md").read_text()

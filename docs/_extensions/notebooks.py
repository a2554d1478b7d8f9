"""Pages of the notebooks in `examples/notebooks`, as they lie there: nothing is run to build them.

The line `<!-- notebook: NAME -->` of a page stands for one.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

NOTEBOOKS = Path(__file__).parents[2] / "examples/notebooks"
_PLACE = re.compile(r"<!-- notebook: (\w+) -->")


def as_markdown(path: Path) -> str:
    """Return the cells of a notebook with what they have printed and drawn, as Markdown."""
    return "\n\n".join(block for cell in json.loads(path.read_text())["cells"] for block in blocks(cell))


def blocks(cell: dict[str, Any]) -> Iterator[str]:
    """Yield a cell as blocks of Markdown: prose, or a program and its output."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        # Links lead from the folder of the notebooks; the pages lie in a folder of docs.
        yield source.replace("](../../docs/", "](../")
        return
    # Lines such as `%matplotlib inline` are no Python, and tell a reader of the page nothing.
    yield fenced("python", re.sub(r"^%.*\n?", "", source, flags=re.MULTILINE))
    for output in cell["outputs"]:
        data = output.get("data", {})
        if picture := data.get("image/png"):
            yield f"![What this cell draws](data:image/png;base64,{''.join(picture.split())})"
        else:
            yield fenced("text", "".join(output.get("text", data.get("text/plain", ""))))


def fenced(language: str, text: str) -> str:
    """Return text as a block of code."""
    return f"```{language}\n{text.strip()}\n```"


def read_source(app: Sphinx, page: str, content: list[str]) -> None:
    """Put the notebook in the place that a page has for it, and read the page anew when it changes."""

    def notebook(match: re.Match[str]) -> str:
        path = NOTEBOOKS / f"{match[1]}.ipynb"
        app.env.note_dependency(str(path))
        return as_markdown(path)

    content[0] = _PLACE.sub(notebook, content[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Read pages in this way."""
    app.connect("source-read", read_source)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

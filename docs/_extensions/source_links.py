"""Links to source files in the Markdown that pages include, of which the pages show the name only."""

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

_LINK = re.compile(r"\[(?P<text>[^\]]+)\]\([\w./]+\.(?:py|yaml)\)")


def unlink(text: str) -> str:
    """Return Markdown whose links to source files are the text of the link, as code."""
    return _LINK.sub(lambda match: f"`{match['text'].strip('`')}`", text)


def read_source(app: Sphinx, name: str, content: list[str]) -> None:
    """Change the text of a page."""
    content[0] = unlink(content[0])


def read_included(app: Sphinx, path: Path, parent: str, content: list[str]) -> None:
    """Change the text of a file that a page includes."""
    content[0] = unlink(content[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Read pages and included files in this way."""
    app.connect("source-read", read_source)
    app.connect("include-read", read_included)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

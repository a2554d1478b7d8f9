"""Docstrings as they are written in the sources, in sentences with `code`, made safe for reStructuredText."""

import ast
import re
import textwrap
from typing import Any

from public_names import addresses
from sphinx.application import Sphinx
from sphinx.domains.python import PyObject

_CODE = re.compile(r"(`[^`]+`)")


def plain(text: str) -> str:
    """Return sentences with public names as links, other code as literals, and what would be markup escaped.

    Args:
        text: of a docstring, whose single backticks enclose code.
    """
    parts = _CODE.split(text)
    known = addresses()
    parts[1::2] = [
        f":py:obj:`{part[1:-1]} <{known[part[1:-1]]}>`" if part[1:-1] in known else f"`{part}`"
        for part in parts[1::2]
    ]
    # A stem with an underscore after it would be a reference, bars a substitution, stars emphasis.
    parts[::2] = [re.sub(r"([*|\\]|(?<=\w)_(?!\w))", r"\\\1", part) for part in parts[::2]]
    # Markup needs a space or punctuation around it; between it and a letter stands an escaped, invisible one.
    for i in range(1, len(parts), 2):
        parts[i - 1] = re.sub(r"(\w)$", r"\1\\ ", parts[i - 1])
        parts[i + 1] = re.sub(r"^(\w)", r"\\ \1", parts[i + 1])
    return "".join(parts)


def restructured(text: str) -> str:
    """Return a docstring as reStructuredText: its sentences, and blocks of code, which are indented."""
    paragraphs = text.split("\n\n")
    for i, paragraph in enumerate(paragraphs):
        if i > 0 and paragraph.startswith("    ") and not paragraphs[i - 1].startswith(" "):
            paragraphs[i] = f".. code-block:: {language(paragraph)}\n\n{paragraph}"
        else:
            paragraphs[i] = plain(paragraph)
    return "\n\n".join(paragraphs)


def language(block: str) -> str:
    """Return the language of a block of code, or "text" of a formula."""
    try:
        ast.parse(textwrap.dedent(block))
    except SyntaxError:
        return "text"
    return "python"


def read(app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """Change the lines of a docstring in place, before napoleon reads its sections."""
    text = "\n".join(lines)
    # What a package says after its first sentence is for those who read its files.
    text = text.partition("\n\n")[0] if what == "module" else text
    lines[:] = restructured(text).split("\n")


def is_field(app: Sphinx, what: str, name: str, obj: object, skip: bool, options: Any) -> bool | None:
    """Leave out a field of a named tuple, which the section of attributes has with its unit."""
    return True if (getattr(obj, "__doc__", None) or "").startswith("Alias for field number") else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Read docstrings in this way."""
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"
    app.connect("autodoc-process-docstring", read, priority=100)
    app.connect("autodoc-skip-member", is_field)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

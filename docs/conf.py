"""How Sphinx builds these pages: `sphinx-build -W --keep-going docs outputs/docs`."""

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent)]

_project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
project = _project["name"]
release = version = _project["version"]
author = "The simlayer developers"
project_copyright = author

# Broken links fail by -W. It is not nitpicky, as base classes of torch and Lightning have no pages here, and
# nothing is fetched to find them.
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "mathml",
    "markdown_docstrings",
    "public_names",
    "source_links",
    "configurations",
    "notebooks",
]
# Formulas and the directives are MyST's; the rest is plain Markdown, which other readers show, too.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_extensions"]

html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"simlayer {release}"
html_theme_options = {"footer_icons": [], "top_of_page_buttons": []}
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["simlayer.css"]
copybutton_exclude = ".linenos, .gp, .go"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
autodoc_preserve_defaults = True
# What Lightning says of the methods that a module overrides is in its own pages.
autodoc_inherit_docstrings = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_attr_annotations = False
# A long signature has one argument in each line.
maximum_signature_line_length = 90
# Code without a language is what a program prints.
highlight_language = "text"

"""A directive with the docstrings of all public names of a package: `{public-names} simlayer.materials`."""

import importlib
import inspect
from functools import cache
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

# The packages whose public names are documented, besides those of simlayer itself.
PACKAGES = (
    *("actuators", "autodiff", "contact", "elements", "fem", "forces", "identification", "laboratory"),
    *("learning", "linalg", "material_point", "materials", "mesh", "motion_capture", "quantities"),
    *("readouts", "reinforcement", "rollout", "solvers", "steps"),
)


def address(module: str, name: str) -> str:
    """Return where users import a name from: the package itself where it is public there, too."""
    top = importlib.import_module(module.partition(".")[0])
    return f"{top.__name__}.{name}" if name in top.__all__ else f"{module}.{name}"


@cache
def addresses() -> dict[str, str]:
    """Return where users import every public name from, by the name."""
    modules = ["simlayer", *(f"simlayer.{package}" for package in PACKAGES)]
    return {
        name: address(module, name)
        for module in reversed(modules)
        for name in importlib.import_module(module).__all__
    }


def entry(module: str, name: str) -> list[str]:
    """Return the lines that document a public name of a module."""
    value = getattr(importlib.import_module(module), name)
    if inspect.ismodule(value):
        return []
    if inspect.isclass(value):
        kind, options = "autoclass", ["   :members:", "   :show-inheritance:"]
    elif callable(value):
        kind, options = "autofunction", []
    else:
        kind, options = "py:data", ["", f"   With the keys {', '.join(f'``{key}``' for key in value)}."]
    return [f".. {kind}:: {address(module, name)}", *options, ""]


def entries(module: str) -> list[str]:
    """Return the lines that document what a package exports; of simlayer, the names of no package in it."""
    names = importlib.import_module(module).__all__
    head = [f".. automodule:: {module}", "   :no-members:", ""]
    if module == "simlayer":
        inside = {
            name for package in PACKAGES for name in importlib.import_module(f"{module}.{package}").__all__
        }
        names, head = [name for name in names if name not in inside], []
    return head + [line for name in names for line in entry(module, name)]


class PublicNames(Directive):
    """All public names of a package, with their docstrings."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        block = ["```{eval-rst}", *entries(self.arguments[0]), "```"]
        container = nodes.container()
        self.state.nested_parse(block, self.content_offset, container)
        return container.children


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("public-names", PublicNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

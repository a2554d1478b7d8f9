"""The import rules: modules import from lower floors only, and `import simlayer` stays light."""

import ast
import functools
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import simlayer

ROOT = Path(simlayer.__file__).parent

# From the ground up: a file imports from its own folder, and from those before it.
FLOORS = (
    "errors",
    "state",
    "linalg",
    "autodiff",
    "quantities",
    "elements",
    "mesh",
    "fem",
    "materials",
    "forces",
    "actuators",
    "dissipation",
    "contact",
    "solvers",
    "steps",
    "rollout",
    "readouts",
    "plotting",
    "reinforcement",
    "motion_capture",
    "viewer",
    "interchange",
    "identification",
    "material_point",
    "laboratory",
    "learning",
    "training",
    "app",
)


@functools.cache
def modules() -> dict[str, Path]:
    """Every module below the public `__init__`, by name under `simlayer`."""
    paths = [p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py" and "assets" not in p.parts]
    names = (".".join(p.relative_to(ROOT).with_suffix("").parts) for p in paths)
    return {name.removesuffix(".__init__"): path for name, path in zip(names, paths, strict=True)}


def imported(path: Path) -> set[str]:
    """Names under `simlayer` of the modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; name the whole path"
            base = node.module or ""
            members = {f"{base}.{alias.name}" for alias in node.names}
            names |= {name if name.removeprefix("simlayer.") in modules() else base for name in members}
    return {name.removeprefix("simlayer.") for name in names if name.split(".")[0] == "simlayer"}


def test_the_floors_are_the_files_and_folders_of_the_package():
    found = {p.stem for p in ROOT.iterdir() if p.suffix == ".py" or p.is_dir()} - {"__init__", "__pycache__"}
    assert found == set(FLOORS)


@pytest.mark.parametrize("name", modules())
def test_a_module_imports_from_its_own_folder_and_lower_floors_only(name):
    own = FLOORS.index(name.split(".")[0])
    above = {other for other in imported(modules()[name]) if FLOORS.index(other.split(".")[0]) > own}
    assert not above, f"{name} imports {sorted(above)} from above"


def test_imports_make_no_circle():
    graph = {
        name: imported(path) & modules().keys()
        for name, path in modules().items()
        if path.name != "__init__.py"
    }
    finished: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"circle: {' -> '.join((*above, name))}"
        if name not in finished:
            for other in graph.get(name, ()):
                visit(other, (*above, name))
            finished.add(name)

    for name in graph:
        visit(name, ())


def test_every_folder_says_what_it_holds_and_exports_its_public_names_in_order():
    for name, path in modules().items():
        if path.name == "__init__.py":
            door = importlib.import_module(f"simlayer.{name}")
            names = getattr(door, "__all__", [])
            assert door.__doc__
            assert names == sorted(names)
            assert all(hasattr(door, public) for public in names)


def newly_imported(statement: str) -> set[str]:
    """What a statement imports beyond torch, in a fresh interpreter."""
    code = f"import torch, sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_importing_simlayer_is_light():
    new = newly_imported("import simlayer")
    assert "simlayer.rollout.rollout" in new
    heavy = ("lightning", "pytorch_lightning", "hydra", "omegaconf", "wandb", "sympy", "matplotlib", "meshio")
    compilers = ("torch._dynamo", "torch._inductor", "torch.fx.experimental", "torch._functorch.aot_autograd")
    found = {name for name in new for package in (*heavy, *compilers) if f"{name}.".startswith(f"{package}.")}
    assert not found, f"import simlayer brings {sorted(found)[:10]} along"


def test_every_public_name_exists_and_is_listed_in_order():
    assert all(hasattr(simlayer, name) for name in simlayer.__all__)
    # Names in capitals come first, as the linter has them.
    assert simlayer.__all__ == sorted(simlayer.__all__, key=lambda name: (not name.isupper(), name))

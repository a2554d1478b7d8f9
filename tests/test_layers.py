"""The import rules: modules import from lower floors only, and `import simlayer` stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import simlayer

ROOT = Path(simlayer.__file__).parent

# From the ground up. A module may import from floors below its own, and from what its own entry names.
FLOORS = (
    {
        "errors": (),
        "state": (),
        "fields": (),
        "topology": (),
        "quantities": ("quantities",),
        "mesh": ("mesh",),
    },
    {"functional": ("functional",), "packing": (), "heap": (), "binding": ("binding",), "contact_state": ()},
    {
        "elements": (),
        "materials": (),
        "derivatives": (),
        "implicit": ("implicit",),
        "obstacles": ("obstacles.base",),
        "motion": (),
    },
    {"masses": (), "forces": ("forces.base",), "dissipation": ("dissipation.base",)},
    {
        "steps": (
            "steps.base",
            "steps.implicit",
            "steps.increment",
            "steps.incremental_potential",
            "steps.mass_matrix",
        )
    },
    {"rollout": ("rollout",)},
    {"training": ("training",), "viz": ("viz.base",)},
)

# Helper modules of one subject, cut into files.
FAMILIES = {"boundary": "mesh", "element_types": "mesh", "quadrature": "mesh", "shape_functions": "mesh"} | {
    "naming": "errors",
    "inventory": "quantities",
    "values": "binding",
    "call": "rollout",
    "compilation": "rollout",
    "diagnosis": "rollout",
    "guards": "rollout",
    "penetration": "rollout",
    "programs": "rollout",
    "repetition": "rollout",
    "unroll": "rollout",
    "verification": "rollout",
    "wording": "rollout",
}


def modules() -> dict[str, Path]:
    """Every module of the package but the public `__init__`, by name under `simlayer`."""
    paths = [p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py" and "assets" not in p.parts]
    names = (".".join(p.relative_to(ROOT).with_suffix("").parts) for p in paths)
    return {name.removesuffix(".__init__"): path for name, path in zip(names, paths, strict=True)}


def unit(name: str) -> str:
    """The entry of FLOORS that a module belongs to: its folder, or its family of files."""
    first = name.split(".")[0]
    return "mesh" if first.startswith("mesh_") else FAMILIES.get(first, first)


def floor(name: str) -> int:
    found = [level for level, entries in enumerate(FLOORS) if unit(name) in entries]
    assert found, f"simlayer/{name.replace('.', '/')}.py has no floor: give it one in FLOORS, or in FAMILIES"
    return found[0]


def imported(path: Path) -> set[str]:
    """Names under `simlayer` of the modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; name the whole path"
            base = node.module or ""
            names |= {base if base != "simlayer" else f"simlayer.{alias.name}" for alias in node.names}
    return {name.removeprefix("simlayer.") for name in names if name.split(".")[0] == "simlayer"}


@pytest.mark.parametrize("name", modules())
def test_a_module_imports_from_lower_floors_and_its_own_base_only(name):
    for other in imported(modules()[name]):
        if floor(other) < floor(name):
            continue
        allowed = FLOORS[floor(name)][unit(name)]
        assert other in allowed or unit(other) in allowed, f"{name} imports {other}, beside or above it"


def test_imports_make_no_circle():
    graph = {name: imported(path) & modules().keys() for name, path in modules().items()}
    finished: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"circle: {' -> '.join((*above, name))}"
        if name not in finished:
            for other in graph[name]:
                visit(other, (*above, name))
            finished.add(name)

    for name in graph:
        visit(name, ())


def newly_imported(statement: str) -> set[str]:
    """What a statement imports beyond torch, in a fresh interpreter."""
    code = f"import torch, sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_importing_simlayer_is_light():
    new = newly_imported("import simlayer")
    assert "simlayer.rollout" in new
    heavy = ("lightning", "pytorch_lightning", "hydra", "omegaconf", "wandb", "sympy", "matplotlib")
    compilers = ("torch._dynamo", "torch._inductor", "torch.fx.experimental", "torch._functorch.aot_autograd")
    found = {name for name in new for package in (*heavy, *compilers) if f"{name}.".startswith(f"{package}.")}
    assert not found, f"import simlayer brings {sorted(found)[:10]} along"


def test_every_public_name_exists_and_is_listed_in_order():
    assert all(hasattr(simlayer, name) for name in simlayer.__all__)
    assert simlayer.__all__ == sorted(simlayer.__all__)

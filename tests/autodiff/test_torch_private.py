"""Private and experimental names of torch are in one file."""

import ast
import re
from pathlib import Path

import pytest
import torch

import simlayer
from simlayer.autodiff.torch_private import below_autograd, is_mapped, modification_counts, transforms_active

ROOT = Path(simlayer.__file__).parent
FILES = [path for path in ROOT.rglob("*.py") if path.name != "torch_private.py"]


def torch_names(path: Path) -> set[str]:
    """The dotted names under `torch` that a file imports or reads."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute):
            names.add(ast.unparse(node))
    return {name for name in names if re.fullmatch(r"torch(\.\w+)+", name)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_other_file_uses_private_names_of_torch(path):
    private = [
        name
        for name in torch_names(path)
        if any(re.match(r"_(?!_)|experimental$", part) for part in name.split("."))
    ]
    assert not private, f"{path.name} uses {private}; put them into autodiff/torch_private.py"


def test_operators_below_autograd_record_nothing():
    x = torch.ones(3, requires_grad=True)
    with below_autograd():
        assert (2 * x).grad_fn is None


def test_transforms_of_torch_func_are_noticed():
    seen = []
    torch.func.grad(lambda x: (seen.append(transforms_active()), x)[1])(torch.tensor(1.0))
    assert seen == [True]
    assert not transforms_active()


def test_mapped_tensors_are_told_from_others():
    seen = []

    def record(x):
        seen.append(is_mapped(x))
        return x.sum()

    x = torch.ones(2, 3)
    torch.func.vmap(record)(x)
    torch.func.vmap(torch.func.grad(record))(x)
    torch.func.grad(record)(x)
    record(x)
    assert seen == [True, True, False, False]


def test_the_version_of_a_tensor_counts_changes_in_place():
    x = torch.zeros(3)
    (before,) = modification_counts([x])
    x.add_(1)
    assert modification_counts([x]) == [before + 1]

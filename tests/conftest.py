"""How the tests run: with runtime shape checks, one seed per test, and one torch thread per worker."""

import importlib
import os
import shutil
import sys

import pytest
import torch
from jaxtyping import install_import_hook

COMPILERS = (os.environ.get("CXX", "g++"), "g++", "clang++", "cl")


def pytest_configure(config):
    # The hook rewrites modules as they are imported, so simlayer must not have been imported yet.
    early = sorted(name for name in sys.modules if name.split(".")[0] == "simlayer")
    if early:
        raise pytest.UsageError(f"{early[0]} was imported before its runtime shape checks: by a plugin?")
    importlib.import_module("support.typechecks")  # the hook looks for it as an attribute
    install_import_hook("simlayer", "support.typechecks.checked")
    # The shape checks look into annotations, and OmegaConf's classes are made of an old kind.
    config.addinivalue_line("filterwarnings", "ignore:.*PEP 484 type hint typing.MutableMapping")
    # torch itself calls it when it first loads its forward-mode decompositions.
    config.addinivalue_line("filterwarnings", "ignore:`torch.jit.script` is:DeprecationWarning")
    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)


def pytest_collection_modifyitems(config, items):
    if "long" not in config.option.markexpr:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("long")])
        items[:] = [item for item in items if not item.get_closest_marker("long")]
    if not any(map(shutil.which, COMPILERS)):
        skip = pytest.mark.skip(reason="needs a C++ compiler: install g++ or clang++")
        for item in items:
            if item.get_closest_marker("compiled"):
                item.add_marker(skip)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    # The compiler's tracer must not meet the checks, nor what a user would be told by the package itself.
    unchecked = item.get_closest_marker("compiled") or item.get_closest_marker("unchecked")
    sys.modules["support.typechecks"].start(enabled=not unchecked)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    pytest_runtest_setup(item)  # again, after what fixtures have spent


@pytest.fixture(autouse=True)
def _seeded():
    """One seed for every test, which leaves torch's default precision as it was."""
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def float64():
    """Double precision by default, for one test."""
    yield from _double()


@pytest.fixture(scope="module")
def float64_throughout():
    """The same for a whole module, and what its tests share."""
    yield from _double()


def _double():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)

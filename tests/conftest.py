"""How the tests run: with runtime shape checks, one seed a test, and one torch thread a worker.

Two invocations make the whole: `pytest -n 2 -m "not compiled"`, which checks every annotated shape while it
runs, and `pytest -n 2 -m compiled`, without those checks, which the torch compiler cannot see through.
"""

import importlib
import os
import sys

import pytest
import torch
from jaxtyping import install_import_hook

SHAPE_CHECKS = pytest.StashKey[bool]()


def pytest_configure(config):
    # The hook rewrites modules as they are imported, so simlayer must not have been imported yet.
    checked = config.option.markexpr.strip() != "compiled"
    config.stash[SHAPE_CHECKS] = checked
    if checked:
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
    if config.stash[SHAPE_CHECKS]:
        skip = pytest.mark.skip(reason="needs a run without runtime shape checks: pytest -m compiled")
        for item in items:
            if item.get_closest_marker("compiled"):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def shape_checks(pytestconfig):
    """Whether simlayer runs with runtime shape checks."""
    return pytestconfig.stash[SHAPE_CHECKS]


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


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

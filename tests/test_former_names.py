"""Names that the README once showed still work, with a warning."""

import importlib
import sys

import pytest
import torch

import simlayer


@pytest.mark.parametrize(
    ("former", "present"),
    [
        ("BlockJacobi", "ConjugateGradients"),
        ("Linear", "LinearElastic"),
        ("Newton", "NewtonSolver"),
        ("Surroundings", "StepContext"),
        ("derived", "derived_quantity"),
        ("quadratic", "to_quadratic_elements"),
        ("refined", "refine"),
    ],
)
def test_a_former_name_is_the_present_one_with_a_warning(former, present):
    with pytest.warns(DeprecationWarning, match=present):
        assert getattr(simlayer, former) is getattr(simlayer, present)


def test_a_name_that_never_was_is_an_error():
    with pytest.raises(AttributeError, match="no attribute 'Quadratic'"):
        simlayer.Quadratic  # noqa: B018


def test_the_former_module_of_fits_has_what_the_readme_imported_from_it():
    sys.modules.pop("simlayer.training", None)
    with pytest.warns(DeprecationWarning, match=r"simlayer\.identification"):
        training = importlib.import_module("simlayer.training")
    for name in ("ObservedRollout", "ParameterIdentification", "PositionLoss", "Vertices", "read_recording"):
        assert hasattr(training, name)
    x = torch.zeros(1, 4, 3)
    assert training.Scenes(x, x, seen=x).observed is x

"""Values of each body that do not fit are named, with the body and the remedy."""

import pytest
import torch
from support.meshes import wavy

from simlayer import Bodies, Body, ElasticForce, MassDamping, StableNeoHookean, SymplecticEuler

# As a user runs it: the tests' own checks of types would answer first.
pytestmark = [pytest.mark.usefixtures("float64"), pytest.mark.unchecked]


@pytest.fixture
def bodies():
    return Bodies([Body(wavy("tet4", (1, 1, 1))), Body(wavy("tet4", (2, 1, 1)))])


def step_of(bodies, regions=None):
    elastic = ElasticForce(bodies.mesh, StableNeoHookean(1e5, 0.3), regions=regions)
    return SymplecticEuler(
        bodies.mesh, {"elastic": elastic}, dt=1e-3, dissipation={"damping": MassDamping(1.0)}
    )


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("youngs_moduli", torch.ones(2), KeyError, "no quantity is named 'youngs_moduli'"),
        ("youngs_modulus", torch.ones(3), ValueError, r"one value for each of 2 bodies .* shape \(3,\)"),
        ("youngs_modulus", torch.tensor(1.0), ValueError, "one value for each of 2 bodies .* tensor of 1.0"),
        ("youngs_modulus", 1e5, ValueError, "one value for each of 2 bodies .* got 100000.0"),
        ("youngs_modulus", [1e5, "soft"], TypeError, "youngs_modulus must be a number .* got 'soft'"),
        ("youngs_modulus", torch.ones(2, 5), ValueError, r"youngs_modulus of body 0 has shape \(5,\)"),
        ("gravity", torch.ones(2, 1), ValueError, r"gravity of body 0 has shape \(1,\)"),
        ("prescribed_velocities", torch.ones(2, 3), ValueError, r"velocities of body 0 .* \(\*batch, 8, 3\)"),
        (
            "coefficient",
            torch.ones(2),
            ValueError,
            "coefficient belongs to no cell or vertex, and is one for",
        ),
    ],
)
def test_a_value_that_does_not_fit_the_bodies_is_named(bodies, name, value, error, message):
    # What is made at import is in single precision.
    given = value.double() if isinstance(value, torch.Tensor) else value
    with pytest.raises(error, match=message):
        bodies.parameters(step_of(bodies), {name: given})


def test_a_value_of_another_precision_is_refused(bodies):
    with pytest.raises(TypeError, match=r"density is torch.float32 but .* are torch.float64"):
        bodies.parameters(step_of(bodies), {"density": torch.ones(2, dtype=torch.float32)})


def test_values_of_regions_are_refused_with_the_remedy(bodies):
    step = step_of(bodies, torch.arange(len(bodies.mesh.cells)) % 2)
    with pytest.raises(ValueError, match="one value for each of 2 regions: make the force without `regions`"):
        bodies.parameters(step, {"youngs_modulus": torch.ones(2)})


def test_values_of_bodies_whose_batches_do_not_fit_are_refused(bodies):
    with pytest.raises(ValueError, match=r"density .* \(2,\), \(3,\)"):
        bodies.parameters(step_of(bodies), {"density": [torch.ones(2, 1), torch.ones(3, 1)]})

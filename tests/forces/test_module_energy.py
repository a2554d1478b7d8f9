"""What a traced energy reads of a module, and how it is laid out."""

import pytest
import torch
from torch import nn

from simlayer import Matrix3, NeoHookean, PhysicalModule, Quantity
from simlayer.forces.elastic import traced_energy_density
from simlayer.forces.module_energy import ModuleEnergy
from simlayer.quantities.quantity import derived_quantity

pytestmark = pytest.mark.usefixtures("float64")


class Inner(PhysicalModule):
    """A part of another module, with a value that nothing reads."""

    offset = Quantity("m", over="cells")
    unread = Quantity("m", over="cells")

    def __init__(self, offset):
        super().__init__()
        self.offset, self.unread = offset, 7.0


class Spring(PhysicalModule):
    """Half the stiffness times the square of the distance to an offset, with the stiffness derived."""

    root = Quantity("N^½/m", over="cells", positive=True)

    def __init__(self, root, offset):
        super().__init__()
        self.root, self.inner = root, Inner(offset)

    @derived_quantity
    def stiffness(self):
        """The stiffness [N/m]."""
        return self.root**2

    def energy(self, x):
        return 0.5 * self.stiffness * (x - self.inner.offset) ** 2


def traced_spring():
    spring = Spring(2.0, 0.5)
    return ModuleEnergy(spring, spring.energy, [0.3])


@pytest.mark.parametrize("own", [(), (4,), (3, 1), (3, 4)])
def test_an_energy_is_that_of_any_module_of_the_kind_with_its_values_over_cells_and_samples(own):
    energy, spring, x = traced_spring(), Spring(1 + torch.rand(own), torch.rand(own)), torch.rand(3, 4)
    values = energy.coefficients(spring, 1)
    assert torch.allclose(energy.value(values, [x.T]), spring.energy(x).T, rtol=1e-14)
    (slope,) = energy.gradient(values, [x.T])
    assert torch.allclose(slope, (spring.stiffness * (x - spring.inner.offset)).T, rtol=1e-14)


def test_only_what_the_energy_reads_is_asked_for_by_its_full_name():
    assert {name for name, _ in traced_spring().reads} == {"stiffness", "inner.offset"}


def test_values_keep_their_own_batch_axes_where_no_fields_are_given():
    first, second = traced_spring().coefficients(Spring(torch.ones(3, 4), torch.ones(4)))
    assert {first.shape, second.shape} == {(4, 3), (4, 1)}


def test_values_over_regions_are_those_of_the_cells():
    spring, regions = Spring(torch.rand(3, 2) + 1, torch.rand(3, 2)), torch.tensor([0, 1, 1, 0])
    energy, x = traced_spring(), torch.rand(3, 4)
    found = energy.value(energy.coefficients(spring, 1, regions=regions), [x.T])
    stiffness, offset = spring.stiffness[:, regions], spring.inner.offset[:, regions]
    assert torch.allclose(found, (0.5 * stiffness * (x - offset) ** 2).T, rtol=1e-14)


def test_more_batch_axes_than_the_fields_have_are_refused():
    with pytest.raises(ValueError, match="batch axes"):
        traced_spring().coefficients(Spring(torch.ones(3, 4), 0.0), 0)


class Anchor(PhysicalModule):
    """A place that is read by components, and a radius that is one number."""

    place = Quantity("m", over="components")
    radius = Quantity("m", positive=True)

    def __init__(self, place, radius):
        super().__init__()
        self.place, self.radius = place, radius

    def energy(self, x, y):
        a, b, _ = self.place
        return ((x - a) ** 2 + (y - b) ** 2) / self.radius


def test_vectors_are_read_by_their_components():
    anchor = Anchor(torch.zeros(3), 1.0)
    energy = ModuleEnergy(anchor, anchor.energy, [0.3, 0.7], components=True)
    places, radii, x, y = torch.rand(5, 3), 1 + torch.rand(5, 1), torch.rand(2, 5), torch.rand(2, 5)
    found = energy.value(energy.coefficients(Anchor(places, radii), 1), [x, y])
    expected = ((x - places[:, 0]) ** 2 + (y - places[:, 1]) ** 2) / radii[:, 0]
    assert torch.allclose(found, expected, rtol=1e-14)


class Learned(PhysicalModule):
    """A scale, and a network whose last layer nothing reads."""

    scale = Quantity("J", over="cells", positive=True)

    def __init__(self, scale):
        super().__init__()
        self.scale = scale
        self.network = nn.ModuleList([nn.Linear(1, 4), nn.Linear(4, 1, bias=False), nn.Linear(1, 1)])

    def energy(self, x):
        first, second, _ = self.network
        return self.scale * second(torch.tanh(first(x[None]))).squeeze()


def test_weights_are_read_whole_and_those_that_are_not_read_are_left_out():
    torch.manual_seed(0)
    learned, x = Learned(torch.rand(6) + 1), torch.rand(6)
    energy = ModuleEnergy(learned, learned.energy, [0.3])
    assert [name for name, _ in energy.reads] == [
        "network.0.weight", "network.0.bias", "network.1.weight", "scale",
    ]  # fmt: skip
    expected = torch.stack([learned.energy(x[k])[k] for k in range(6)])
    assert torch.allclose(energy.value(energy.coefficients(learned, 0), [x]), expected, rtol=1e-13)


def test_further_inputs_follow_what_is_read_of_the_module():
    spring = Spring(2.0, 0.5)
    energy = ModuleEnergy(spring, lambda speed, x: speed * spring.energy(x), [0.3], given=[0.8])
    (slope,) = energy.gradient([*energy.coefficients(spring), torch.tensor(3.0)], [torch.tensor(1.5)])
    assert float(slope) == pytest.approx(3 * 4 * 1.0)


class Own(NeoHookean):
    """A material of a user, of which other things than its attributes may be read."""


@pytest.mark.parametrize("kind", [NeoHookean, Own])
def test_what_was_traced_once_for_a_material_is_right_for_others_of_its_class(kind):
    F = [torch.as_tensor(x) for x in (1.1, 0.2, -0.1, 0.15, 0.9, 0.05, -0.05, 0.12, 1.2)]
    collapsed = [0.05 * x for x in F]  # where the energy of a material with a range is continued
    for options in ({}, {"range": None}, {"range": (0.5, 2.0)}):
        material = kind(2.0, 0.3, **options)
        traced = traced_energy_density(material)
        for point in (F, collapsed):
            expected = material.energy_density(Matrix3(*point))
            assert torch.allclose(traced.value(traced.coefficients(material), point), expected, rtol=1e-12)


def test_traced_energies_of_two_bodies_share_no_module():
    first, second = (traced_energy_density(NeoHookean(modulus, 0.3)) for modulus in (1.0, torch.rand(6) + 1))
    assert not {id(module) for module in first.modules()} & {id(module) for module in second.modules()}


class Written(PhysicalModule):
    """An energy as a user wrote it."""

    stiffness = Quantity("N/m", over="cells", positive=True)

    def __init__(self, energy):
        super().__init__()
        self.stiffness, self.energy = 2.0, energy


@pytest.mark.parametrize(
    ("energy", "got"),
    [
        (lambda x: None, "NoneType"),
        (lambda x: 1.0, "float"),
        (lambda x: torch.stack([x, x]), r"shape \(2,\)"),
    ],
)
def test_an_energy_that_is_not_one_number_per_point_is_named(energy, got):
    with pytest.raises(
        TypeError, match=f"Written.energy_density must return one number per point.* got {got}"
    ):
        ModuleEnergy(Written(energy), energy, [0.3], method="energy_density")


def test_an_energy_that_does_not_depend_on_its_arguments_is_named():
    with pytest.raises(ValueError, match=r"Written.energy does not depend"):
        ModuleEnergy(Written(None), lambda x: torch.tensor(1.0), [0.3])

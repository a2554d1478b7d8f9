"""The materials that all tests of materials run over; a new one joins `MATERIALS` by one line."""

from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor

from simlayer import (
    ArrudaBoyce,
    Corotated,
    FibreFamily,
    Fung,
    Gent,
    HolzapfelGasserOgden,
    LinearElastic,
    Material,
    Matrix3,
    MooneyRivlin,
    MooneyRivlin5,
    NeoHookean,
    NeuralFibreReinforced,
    NeuralHyperelastic,
    Ogden,
    Quantity,
    StableNeoHookean,
    StVenantKirchhoff,
    TransverselyIsotropic,
    Yeoh,
)
from simlayer.forces.elastic import traced_energy_density
from simlayer.forces.module_energy import ModuleEnergy


class Exponential(Material):
    """A material as a user writes it, by its energy alone and with coefficients of its own; it stiffens."""

    shear_modulus = Quantity("Pa", over="cells", positive=True)
    lame = Quantity("Pa", over="cells")
    stiffening = Quantity("1", over="cells", bounds=(0.0, 2.0))

    def __init__(self, shear_modulus, lame, stiffening):
        super().__init__()
        self.shear_modulus, self.lame, self.stiffening = shear_modulus, lame, stiffening

    def energy_density(self, F: Matrix3) -> Tensor:
        J, b = F.det(), self.stiffening
        shear = torch.expm1(0.5 * b * (F.inner(F) - 3 - 2 * J.log())) / b
        return self.shear_modulus * shear + 0.5 * self.lame * (J - 1) ** 2


def mooney_rivlin(E, nu, **options):
    mu, K = shear_and_bulk(E, nu)
    return MooneyRivlin(0.3 * mu, 0.2 * mu, K, **options)


def mooney_rivlin_5(E, nu, **options):
    mu, K = shear_and_bulk(E, nu)
    return MooneyRivlin5(0.4 * mu, 0.1 * mu, 0.03 * mu, 0.01 * mu, 0.02 * mu, K, **options)


def yeoh(E, nu, **options):
    mu, K = shear_and_bulk(E, nu)
    return Yeoh(0.5 * mu, -0.01 * mu, 0.005 * mu, K, **options)


def gent(E, nu, **options):
    mu, K = shear_and_bulk(E, nu)
    return Gent(mu, 12.0, K, **options)


def arruda_boyce(E, nu, **options):
    mu, K = shear_and_bulk(E, nu)
    # lambda_m² = 3, for which the series of the shear modulus is this.
    return ArrudaBoyce(mu / _OF_THREE, 3**0.5, K, **options)


def ogden(E, nu, **options):
    mu, K = shear_and_bulk(E, nu)
    return Ogden((1.4 * mu / 1.8, -0.6 * mu / 2.2), (1.8, -2.2), K, **options)


def fung(E, nu, **options):
    mu, K = shear_and_bulk(E, nu)
    return Fung(mu, 0.6, K, **options)


def holzapfel(E, nu, **options):
    """A matrix with these moduli and two families of fibres, which stiffen it further."""
    mu, K = shear_and_bulk(E, nu)
    families = [
        FibreFamily((1.0, 2.0, -0.5), 0.3 * mu, 0.4, 0.1),
        FibreFamily((1.0, -2.0, 0.0), 0.2 * mu, 0.6, 0.05),
    ]
    return HolzapfelGasserOgden(mu, families, K, **options)


def transversely_isotropic(E, nu):
    """The isotropic case, whatever the axis."""
    mu, _ = shear_and_bulk(E, nu)
    return TransverselyIsotropic(
        (1.0, 2.0, -0.5),
        axial_modulus=E,
        transverse_modulus=E,
        axial_ratio=nu,
        transverse_ratio=nu,
        axial_shear_modulus=mu,
    )


_OF_THREE = 1 + 3 / 5 / 3 + 99 / 175 / 9 + 513 / 875 / 27 + 42039 / 67375 / 81


def exponential(E, nu):
    mu, lam = lame(E, nu)
    return Exponential(mu, lam, 0.7)


def neural(E, nu, **options):
    """A network that was not trained, the same one every time."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return NeuralHyperelastic(E, nu, **options)


def fibrous(E, nu, **options):
    """A network with fibres that was not trained, the same one every time."""
    with torch.random.fork_rng():
        torch.manual_seed(6)
        return NeuralFibreReinforced(E, nu, (1.0, 2.0, -0.5), **options)


def lame(E, nu):
    """Shear modulus and first Lamé parameter [Pa]."""
    return E / (2 * (1 + nu)), E * nu / ((1 + nu) * (1 - 2 * nu))


def shear_and_bulk(E, nu):
    """Shear and bulk modulus [Pa]."""
    return E / (2 * (1 + nu)), E / (3 * (1 - 2 * nu))


# From Young's modulus and Poisson's ratio, which fix what each material does at small strain.
MATERIALS = {
    "StableNeoHookean": StableNeoHookean,
    "StableNeoHookean without logarithm": partial(StableNeoHookean, logarithm=False),
    "NeoHookean": NeoHookean,
    "StVenantKirchhoff": StVenantKirchhoff,
    "Corotated": Corotated,
    "LinearElastic": LinearElastic,
    "MooneyRivlin": mooney_rivlin,
    "MooneyRivlin5": mooney_rivlin_5,
    "Yeoh": yeoh,
    "Gent": gent,
    "ArrudaBoyce": arruda_boyce,
    "Ogden": ogden,
    "Fung": fung,
    "HolzapfelGasserOgden": holzapfel,
    "TransverselyIsotropic": transversely_isotropic,
    "written by a user": exponential,
    "NeuralHyperelastic": neural,
    "NeuralFibreReinforced": fibrous,
}
# Those with fibres that pull as soon as they are stretched are not isotropic, and stiffer at rest.
FIBROUS = ("NeuralFibreReinforced", "HolzapfelGasserOgden")
ROTATION_INVARIANT = [name for name in MATERIALS if name != "LinearElastic"]
# Inside its range a material is the one without, so that only tests of materials ask for these too.
WITHOUT_RANGE = {
    "NeoHookean": partial(NeoHookean, range=None),
    "MooneyRivlin": partial(mooney_rivlin, range=None),
    "Gent (simo_taylor)": partial(gent, volumetric="simo_taylor", range=None),
    "Yeoh (logarithmic)": partial(yeoh, volumetric="logarithmic", range=None),
    "NeuralHyperelastic": partial(neural, range=None),
    "NeuralFibreReinforced": partial(fibrous, range=None),
}


Build = Callable[..., Material]


def traced(
    build: Build, E: float | Tensor = 1.0, nu: float | Tensor = 0.3
) -> tuple[ModuleEnergy, list[Tensor]]:
    """The energy density of a material as a force evaluates it, and the values that it reads."""
    density = _traced(build, torch.get_default_dtype())
    return density, density.coefficients(build(E, nu))


@cache
def _traced(build: Build, dtype: torch.dtype) -> ModuleEnergy:
    # Once for all tests, with coefficients that none of them uses: tracing takes up to two seconds.
    return traced_energy_density(build(7.0, 0.1))


def matrix(A: Tensor) -> Matrix3:
    """The field of matrices `(*shape, 3, 3)`."""
    return Matrix3(*A.flatten(-2).unbind(-1))


def array(components) -> Tensor:
    """Nine fields as `(*shape, 3, 3)`, those that do not depend on the point included."""
    return torch.stack(torch.broadcast_tensors(*components), -1).unflatten(-1, (3, 3))


def rotations(*shape: int) -> Tensor:
    """Random rotations `(*shape, 3, 3)`."""
    Q, R = torch.linalg.qr(torch.randn(*shape, 3, 3))
    Q = Q * R.diagonal(dim1=-2, dim2=-1).sign()[..., None, :]
    return Q * torch.linalg.det(Q)[..., None, None]


def deformations(*shape: int, stretches: tuple[float, float] = (0.7, 1.5)) -> Tensor:
    """Random F = U diag(s) V with stretches s in an interval and rotations U and V, `(*shape, 3, 3)`."""
    low, high = stretches
    s = low + (high - low) * torch.rand(*shape, 1, 3)
    return (rotations(*shape) * s) @ rotations(*shape)

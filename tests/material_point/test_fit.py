"""Laws fitted to the curves of tests."""

import warnings

import numpy as np
import pytest
import torch
from support.treloar import DATA, treloar

from simlayer import (
    ArrudaBoyce,
    ConvergenceError,
    Gent,
    Material,
    MooneyRivlin,
    MooneyRivlin5,
    NeoHookean,
    Quantity,
    Yeoh,
)
from simlayer.errors import ImplausibleWarning
from simlayer.material_point import MaterialPoint, StressCurve, fit_curves

pytestmark = pytest.mark.usefixtures("float64")

K = 1e9


class SignedMooneyRivlin(Material):
    """The law of two terms with coefficients of any sign, as a user writes it."""

    c10 = Quantity("Pa", over="cells", scale=1e5)
    c01 = Quantity("Pa", over="cells", scale=1e5)

    def __init__(self, c10, c01):
        super().__init__()
        self.c10, self.c01 = c10, c01

    def energy_density(self, F):
        cofactor = F.cofactor()
        return self.c10 * (F.inner(F) - 3) + self.c01 * (cofactor.inner(cofactor) - 3)


# Least squares of all three tests at once: values [SI], standard errors where independent fits gave them,
# and the root mean square residual [Pa]. Fits of others are alike to the digits printed, 1 % here.
FITS = {
    "Yeoh": (Yeoh(2e5, -1e3, 30.0, K), (184.70e3, -1464.6, 40.215), (10.1e3, 359.0, 3.71), 0.138e6),
    "Gent": (Gent(3e5, 80.0, K), (0.2745e6, 84.3), (None, 1.4), 0.138e6),
    "Arruda-Boyce": (ArrudaBoyce(3e5, 5.0, K), (0.2708e6, 4.626), (None, None), 0.148e6),
}


@pytest.mark.parametrize(("material", "values", "errors", "rms"), FITS.values(), ids=FITS)
def test_fits_of_three_tests_of_rubber_are_those_of_others(material, values, errors, rms):
    found = fit_curves(material, treloar(), incompressible=True)
    assert list(found.values.values()) == pytest.approx(values, rel=0.01)
    assert found.rms == pytest.approx(rms, rel=0.01)
    for error, known in zip(found.standard_errors.values(), errors, strict=True):
        assert known is None or error == pytest.approx(known, rel=0.05)  # two digits
    # The bulk modulus has no effect, and is not among the unknowns.
    assert "bulk_modulus" not in found.values
    name = next(iter(found.values))
    assert found.values[name] == pytest.approx(
        material.get_parameter(stored(material, name)).exp().item()
    ) or (name == "terms.0.mu")


def stored(material, name):
    return {"c10": "log_c10", "mu": "log_mu"}.get(name, "terms.0.scaled_mu")


def test_one_test_alone_does_not_determine_the_others_and_a_warning_says_so():
    material = SignedMooneyRivlin(2e5, 1e4)
    with pytest.warns(ImplausibleWarning, match="equibiaxial tension, which was not measured, is unstable"):
        found = fit_curves(material, treloar("uniaxial"), incompressible=True)
    assert found.values["c01"] == pytest.approx(-0.75e6, rel=0.01)
    stress, stretch = np.array(DATA["equibiaxial"]).T
    missed = found.predict(stretch, "equibiaxial")[0] - 1e6 * stress
    assert np.sqrt(np.mean(missed**2)) == pytest.approx(57e6, rel=0.01)


def test_a_law_of_many_terms_fitted_to_one_test_has_wide_bands_elsewhere():
    material = MooneyRivlin5(1.5e5, 1e4, 0.0, 0.0, 0.0, K)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ImplausibleWarning)
        found = fit_curves(material, treloar("uniaxial"), incompressible=True)
    assert any("which was not measured" in str(entry.message) for entry in caught)
    uniaxial, equibiaxial, _ = found.predictions
    assert uniaxial.measured
    assert not equibiaxial.measured
    # At the end of the curve its stress is known to a few percent, and that of the other test is not.
    assert uniaxial.error[-1] < 0.05 * uniaxial.stress[-1]
    assert equibiaxial.error[-1] > 0.2 * equibiaxial.stress[-1].abs()


def test_standard_errors_are_those_of_repeated_noise():
    stretch = np.linspace(1.05, 2.5, 20)
    truth = MaterialPoint(Yeoh(2e5, -2e3, 100.0, K), incompressible=True)
    exact = truth(torch.tensor(stretch)).stress.detach().numpy()
    generator = np.random.default_rng(1)
    fits = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImplausibleWarning)  # Some of the draws are unstable.
        for _ in range(60):
            curve = StressCurve(stretch, exact + 1e4 * generator.normal(size=20))
            fits.append(fit_curves(Yeoh(2e5, -2e3, 100.0, K), curve, incompressible=True))
    for name in ("c10", "c20", "c30"):
        spread = np.std([fit.values[name] for fit in fits])
        stated = np.sqrt(np.mean([fit.standard_errors[name] ** 2 for fit in fits]))
        # The standard deviation of 60 draws is off by 9 %, at two standard errors.
        assert stated == pytest.approx(spread, rel=0.2)


def test_compressible_laws_are_fitted_with_their_poisson_ratio():
    stretch = torch.linspace(0.8, 1.5, 12)
    truth = NeoHookean(1e5, 0.3)
    curves = [
        StressCurve(stretch, MaterialPoint(truth)(stretch, path).stress.detach(), path)
        for path in ("uniaxial", "equibiaxial")
    ]
    found = fit_curves(NeoHookean(3e5, 0.4), curves)
    # Exact data: the fit ends where a step is of rounding.
    assert found.values == pytest.approx({"youngs_modulus": 1e5, "poissons_ratio": 0.3}, rel=1e-6)


def test_an_offset_of_the_strain_is_found_with_the_law():
    stretch = torch.linspace(1.02, 2.0, 30)
    truth = MaterialPoint(Gent(1e5, 20.0, K), incompressible=True)
    curve = StressCurve(stretch + 0.03, truth(stretch).stress.detach(), name="slack", fit_offset=True)
    found = fit_curves(Gent(2e5, 30.0, K), curve, incompressible=True)
    assert found.values == pytest.approx({"mu": 1e5, "J_m": 20.0, "slack.strain_offset": 0.03}, rel=1e-5)


def test_estimated_noise_is_that_of_each_curve():
    stretch = torch.linspace(1.05, 2.0, 200)
    point = MaterialPoint(Gent(1e5, 20.0, K), incompressible=True)
    sizes = {"uniaxial": 1e2, "equibiaxial": 1e4}
    curves = [
        StressCurve(stretch, point(stretch, path).stress.detach() + size * torch.randn(200), path)
        for path, size in sizes.items()
    ]
    plain, weighted = (
        fit_curves(Gent(2e5, 30.0, K), curves, incompressible=True, estimate_noise=estimate)
        for estimate in (False, True)
    )
    for path, size in sizes.items():
        assert np.std(weighted.residuals[path]) == pytest.approx(size, rel=0.15)  # 200 draws: 5 %
    assert weighted.standard_errors["mu"] < 0.2 * plain.standard_errors["mu"]
    assert weighted.values["mu"] == pytest.approx(1e5, abs=4 * weighted.standard_errors["mu"])


def test_a_known_noise_weights_the_curves():
    stretch = torch.linspace(1.05, 2.0, 20)
    soft, stiff = (MaterialPoint(NeoHookean(E, 0.4), incompressible=True) for E in (1e5, 2e5))
    curves = [
        StressCurve(stretch, point(stretch).stress.detach(), name=name, noise=noise)
        for point, name, noise in ((soft, "sure", 1e2), (stiff, "unsure", 1e4))
    ]
    found = fit_curves(NeoHookean(1.3e5, 0.4), curves, "youngs_modulus", incompressible=True)
    # The mean of both, weighted by 1 / noise²: the law is linear in its modulus.
    assert found.values["youngs_modulus"] == pytest.approx((1e5 + 1e-4 * 2e5) / (1 + 1e-4), rel=1e-6)


def test_structured_residuals_are_said_and_noise_is_not():
    stretch = torch.linspace(1.05, 3.0, 40)
    exact = MaterialPoint(Yeoh(2e5, -4e3, 400.0, K), incompressible=True)(stretch).stress.detach()
    curve = StressCurve(stretch, exact + 1e3 * torch.randn(40))
    wrong = fit_curves(NeoHookean(1e5, 0.45), curve, "youngs_modulus", incompressible=True)
    assert "the residuals of uniaxial are no noise" in str(wrong)
    right = fit_curves(Yeoh(1e5, -1e3, 100.0, K), curve, incompressible=True)
    assert right.structured_residuals == []


def test_only_named_quantities_change_and_the_material_has_what_was_found():
    material = MooneyRivlin(2e5, 1e5, K).float()
    found = fit_curves(material, treloar("planar"), "c10", incompressible=True)
    assert list(found.values) == ["c10"]
    assert material.c01.item() == pytest.approx(1e5)
    assert material.c10.item() == pytest.approx(found.values["c10"], rel=1e-6)  # single precision


def test_what_cannot_be_fitted_is_refused():
    material, curve = Gent(3e5, 80.0, K), treloar("uniaxial")[0]
    with pytest.raises(KeyError, match="did you mean 'J_m'"):
        fit_curves(material, curve, ["J_n"])
    known = StressCurve(curve.stretch, curve.stress, name="known", noise=1e3)
    with pytest.raises(ValueError, match="noise must be that of all curves"):
        fit_curves(material, [curve, known])
    with pytest.raises(ValueError, match="must have different names"):
        fit_curves(material, [curve, curve])
    with pytest.raises(ConvergenceError, match="has not converged in 1 steps"):
        fit_curves(material, curve, incompressible=True, max_steps=1)
    assert material.mu.item() == pytest.approx(3e5)
    locked = Gent(3e5, 10.0, K, limit=None)
    with pytest.raises(ConvergenceError, match="Gent has no finite stress at the first guess"):
        fit_curves(locked, curve, incompressible=True)

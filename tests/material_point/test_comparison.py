"""Laws that are compared on the same curves."""

import pytest
import torch
from support.treloar import treloar

from simlayer import ConvergenceError, Gent, MooneyRivlin5, NeoHookean, Yeoh
from simlayer.material_point import MaterialPoint, StressCurve, compare_laws

pytestmark = pytest.mark.usefixtures("float64")

K = 1e9


def test_the_law_that_made_noisy_curves_is_preferred_to_one_of_more_terms():
    stretch = torch.linspace(1.1, 2.5, 15)
    point = MaterialPoint(Gent(1e5, 20.0, K), incompressible=True)
    curves = [
        StressCurve(stretch, point(stretch, path).stress.detach() + 2e3 * torch.randn(15), path)
        for path in ("uniaxial", "equibiaxial")
    ]
    laws = {
        "five terms": MooneyRivlin5(5e4, 1e3, 0.0, 0.0, 0.0, K),
        "neo-Hookean": NeoHookean(3e5, 0.45),
        "Gent": Gent(2e5, 30.0, K),
    }
    found = compare_laws(laws, curves, incompressible=True)
    assert found.laws[0].name == "Gent"
    assert found.laws[-1].name == "neo-Hookean"
    # What was left out is predicted to about its noise.
    assert found.laws[0].held_out_rms < 4e3
    assert laws["Gent"].mu.item() == pytest.approx(2e5)
    assert str(found).splitlines()[0].split()[:2] == ["law", "unknowns"]
    assert len(str(found).splitlines()) == 4


def test_the_criterion_is_that_of_its_definition():
    found = compare_laws({"Yeoh": Yeoh(2e5, -1e3, 30.0, K)}, treloar("planar"), incompressible=True).laws[0]
    n, k = 13, 4  # three coefficients and the noise
    residuals = (
        torch.from_numpy(found.fit.residuals["planar"]) / treloar("planar")[0].stress.square().mean().sqrt()
    )
    expected = n * residuals.square().mean().log() + 2 * k + 2 * k * (k + 1) / (n - k - 1)
    assert found.aicc == pytest.approx(expected.item(), rel=1e-9)
    assert found.held_out == {}


def test_a_law_that_cannot_be_fitted_is_listed_with_the_reason():
    locked = Gent(3e5, 10.0, K, limit=None)
    curves = treloar("uniaxial")
    found = compare_laws({"locked": locked, "Yeoh": Yeoh(2e5, -1e3, 30.0, K)}, curves, incompressible=True)
    assert [law.name for law in found.laws] == ["Yeoh"]
    assert "locked: Gent has no finite stress" in str(found)
    with pytest.raises(ConvergenceError, match="locked: Gent has no finite stress"):
        compare_laws({"locked": locked}, curves, incompressible=True)

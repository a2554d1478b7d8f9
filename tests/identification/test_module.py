"""Identification: only what is named is trained, by exact gradients, and it is found."""

import re
import warnings

import pytest
import torch
from lightning.pytorch import Trainer
from support.observed import DAMPING, DT, NU, E, beam_mesh, observed_beam, observed_scenes
from torch import nn
from torch.optim import LBFGS, Adam

from simlayer.errors import GradientError, SimulationError
from simlayer.identification.gauss_newton import GaussNewton
from simlayer.identification.gradient_check import check_fit_gradients, fit_gradients
from simlayer.identification.least_squares import LeastSquares
from simlayer.identification.losses import PositionLoss
from simlayer.identification.module import ParameterIdentification
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.priors import SmoothnessPrior
from simlayer.identification.scenes import ObservedScenes, scene_loader
from simlayer.identification.sensors import Vertices
from simlayer.state import State

pytestmark = [
    pytest.mark.usefixtures("float64"),
    # The scenes are tensors in memory: workers would only slow their loading down.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    # Lightning asks torch for something by its old name.
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
]
TIMES = (2.3 * DT, 5.1 * DT, 7.4 * DT)
TRUTH = {E: 1.0e5, NU: 0.35, "density": 900.0, DAMPING: 5.0, "release_time": 0.2 * DT}


def adam(parameters):
    return Adam(parameters, lr=0.1)


def lbfgs(parameters):
    return LBFGS(parameters, max_iter=5, tolerance_grad=1e-12, line_search_fn="strong_wolfe")


def fitted(trainable, *, truth=None, count=1, loss=None, optimizer=adam, **options):
    """A model at its first guess, and scenes of the truth."""
    observed = observed_beam(times=torch.tensor(TIMES), frames=1)
    scenes = observed_scenes(observed, TRUTH if truth is None else truth, count=count)
    loss = PositionLoss(0.01) if loss is None else loss
    return ParameterIdentification(
        observed, trainable=trainable, loss=loss, optimizer=optimizer, **options
    ), scenes


def trainer(**options):
    return Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, **options,
    )  # fmt: skip


def fit(model, scenes, *, epochs, validate=False):
    loader = scene_loader(scenes)
    # A loader that is not used: Lightning warns of a model that could be validated and is not.
    made = trainer(max_epochs=epochs, num_sanity_val_steps=0, limit_val_batches=1.0 if validate else 0)
    made.fit(model, loader, loader)
    return made


# What is simulated.


def test_gauss_newton_simulates_each_trial_once_for_loss_validation_and_uncertainty(monkeypatch):
    model, scenes = fitted([E, DAMPING], optimizer=GaussNewton)
    calls = {"linearized": 0, "simulated": 0}

    def counted(kind, function):
        def call(*arguments):
            calls[kind] += 1
            return function(*arguments)

        return call

    losses = []
    monkeypatch.setattr(LeastSquares, "linearized", counted("linearized", LeastSquares.linearized))
    monkeypatch.setattr(PositionLoss, "forward", counted("simulated", PositionLoss.forward))
    setter = GaussNewton.equations.fset
    monkeypatch.setattr(
        GaussNewton,
        "equations",
        GaussNewton.equations.setter(lambda self, e: (losses.append(float(e.loss)), setter(self, e))),
    )
    loader = scene_loader(scenes)
    trainer(max_epochs=20, num_sanity_val_steps=-1).fit(model, loader, loader)
    model.uncertainty(scenes)
    assert calls == {"linearized": len(set(losses)), "simulated": 0}


# What is trained.


def test_only_what_is_named_is_trained():
    model, _ = fitted([E, "release_time"])
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {
        "observed.rollout.step.forces.elastic.material.log_youngs_modulus", "observed.scaled_release_time",
    }  # fmt: skip
    assert list(model.values()) == [E, "release_time"]
    assert len(model.configure_optimizers().param_groups[0]["params"]) == 2


def test_a_name_given_twice_is_trained_once():
    model, _ = fitted([E, NU, E, "youngs_modulus"])
    assert [unknown.name for unknown in model.unknowns] == [E, NU]


@pytest.mark.parametrize(
    "options",
    [
        {"trainable": ["forces.elastic.material.young_modulus"]},
        {"trainable": [NU], "fields": {"forces.elastic.material.young_modulus": "cells"}},
        {
            "trainable": [NU],
            "priors": {
                "p": SmoothnessPrior(beam_mesh(), "forces.elastic.material.young_modulus", weight=1.0)
            },
        },
    ],
)
def test_a_misspelt_name_is_answered_by_the_nearest(options):
    with pytest.raises(KeyError, match=f"young_modulus.*{re.escape(E)}"):
        fitted(**options)


def test_nothing_to_train_is_an_error_that_lists_what_there_is():
    with pytest.raises(ValueError, match=f"nothing is trainable; name at least one of .*{re.escape(E)}"):
        fitted([])


def test_a_field_has_a_value_for_every_cell_equal_to_the_one_there_was():
    model, _ = fitted([E], fields={E: "cells", "initial.velocities": "vertices"})
    torch.testing.assert_close(model.values()[E], torch.full((18,), 1e5), rtol=1e-13, atol=0)
    assert model.candidates["initial.velocities"].value.shape == (16, 3)
    with pytest.raises(ValueError, match="release_time cannot be expanded over 'cells'"):
        fitted([E], fields={"release_time": "cells"})


def test_a_scheduler_gets_the_optimizer():
    model, _ = fitted([E], scheduler=lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5))
    found = model.configure_optimizers()
    assert found["lr_scheduler"].optimizer is found["optimizer"]


# The loss and its gradients.


def test_the_loss_at_the_truth_is_zero_and_elsewhere_that_of_the_observed_points():
    model, scenes = fitted([E], truth={})
    assert model.total_loss(scenes).item() == 0
    model, scenes = fitted([E])
    observed = model(State(*scenes[:2]))
    assert model.total_loss(scenes).item() == pytest.approx(
        PositionLoss(0.01)(observed, scenes.observed).item()
    )
    assert model.total_loss(scenes).item() > 1e-6


def test_priors_are_added_with_the_stored_values_of_their_fields():
    prior = SmoothnessPrior(beam_mesh(), E, weight=0.5)
    model, scenes = fitted([E], fields={E: "cells"}, priors={"a": prior, "b": prior})
    stored = model.unknowns[0].parameter
    stored.data += 0.2 * torch.randn(18)
    bare = model.loss(model(State(*scenes[:2])), scenes.observed)
    assert model.total_loss(scenes).item() == pytest.approx(
        float((bare + 2 * prior(stored)).detach()), rel=1e-14
    )


def test_two_scenes_at_once_are_the_mean_of_single_ones_in_loss_and_gradient():
    model, scenes = fitted([E, "initial.velocities"], count=2)
    parameters = [unknown.parameter for unknown in model.unknowns]

    def evaluated(batch):
        loss = model.total_loss(batch)
        return [loss.detach(), *torch.autograd.grad(loss, parameters)]

    both = evaluated(scenes)
    single = [evaluated(ObservedScenes(*(part[k : k + 1] for part in scenes))) for k in (0, 1)]
    assert not torch.allclose(single[0][0], single[1][0])
    for found, a, b in zip(both, *single, strict=True):
        torch.testing.assert_close(found, (a + b) / 2, rtol=1e-10, atol=1e-15)


def test_gradients_of_every_kind_of_unknown_are_the_central_differences():
    names = [E, NU, "density", DAMPING, "initial.velocities", "initial.displacements", "release_time"]
    model, scenes = fitted(names)
    report = fit_gradients(model, scenes)
    assert report.passed, report
    assert [check.name for check in report.checks] == names
    # The default of double precision.
    assert report.tolerance == 1e-6
    assert all(check.gradient != 0 for check in report.checks)


def test_gradients_of_fields_under_a_prior_with_missing_points_are_the_central_differences():
    prior = SmoothnessPrior(beam_mesh(), E, weight=0.1)
    fields = {E: "cells", "initial.velocities": "vertices"}
    model, scenes = fitted([E, "initial.velocities"], fields=fields, priors={"smooth": prior}, count=2)
    model.unknowns[0].parameter.data += 0.1 * torch.randn(18)
    scenes.observed[torch.rand(scenes.observed.shape[:-1]) < 0.3] = torch.nan
    report = fit_gradients(model, scenes)
    assert report.passed, report
    assert [check.size for check in report.checks] == [18, 48]


def test_gradients_are_shown_by_physical_values():
    model, scenes = fitted([E, NU, "release_time"])
    checks = {check.name: check for check in fit_gradients(model, scenes).checks}
    assert checks[E].value == pytest.approx(float(model.values()[E]))
    assert checks[NU].value == pytest.approx(float(model.values()[NU]))
    model.total_loss(scenes).backward()
    # E is stored as a logarithm.
    assert checks[E].gradient * checks[E].value == pytest.approx(float(model.unknowns[0].parameter.grad))


def test_a_fit_that_runs_away_says_how_far_it_has_come():
    model, scenes = fitted([E])
    model.unknowns[0].assign(1e12)
    with pytest.raises(SimulationError, match=r"has run to youngs_modulus = 1e\+12 \(from .*how the body"):
        model.training_step(scenes, 0)


class CarelessLoss(PositionLoss):
    """A loss that loses half of its gradient."""

    def forward(self, simulated, observed):
        return super().forward((simulated + simulated.detach()) / 2, observed)


def test_a_wrong_gradient_is_printed_and_named(capsys):
    model, scenes = fitted([E, NU], loss=CarelessLoss(0.01))
    with pytest.raises(GradientError, match=f"with respect to {E}, {NU} differs from the central difference"):
        check_fit_gradients(model, scenes)
    assert "WRONG" in capsys.readouterr().out
    check_fit_gradients(*fitted([E]))
    assert "WRONG" not in capsys.readouterr().out


class InfiniteSlope(nn.Module):
    """A distance of zero, whose derivative is none."""

    def forward(self, simulated, observed):
        return (simulated - simulated.detach()).norm() + (
            simulated - simulated.detach()
        ).square().sum().sqrt()


def test_a_gradient_that_is_not_finite_ends_the_fit_before_it_changes_anything():
    model, scenes = fitted([E, NU], loss=InfiniteSlope())
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    with pytest.raises(GradientError, match=rf"{E} \(at 100000 Pa\), {NU} .*is not finite in epoch 0"):
        fit(model, scenes, epochs=2)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name])


def test_an_unknown_on_which_no_observation_depends_is_warned_of():
    rollout = observed_beam().rollout
    clamped = Vertices(beam_mesh().vertex_sets["x_min"])
    observed = ObservedRollout(rollout, clamped, torch.tensor([8 * DT]))
    scenes = observed_scenes(observed)
    moved = ObservedScenes(*scenes[:2], scenes.observed + 0.01)
    model = ParameterIdentification(observed, trainable=[E], loss=PositionLoss(), optimizer=adam)
    with pytest.warns(UserWarning, match=f"with respect to {E} is exactly zero"):
        fit(model, moved, epochs=2)
    assert float(model.values()[E]) == pytest.approx(1e5)


# Fits.


@pytest.mark.parametrize(
    ("optimizer", "epochs", "error"),
    [(lbfgs, 2, 1e-5), (lambda parameters: Adam(parameters, lr=0.05, betas=(0.5, 0.9)), 20, 0.02)],
    ids=["L-BFGS", "Adam"],
)
def test_the_stiffness_of_a_beam_is_found(optimizer, epochs, error):
    model, scenes = fitted([E], truth={E: 1.2e5}, optimizer=optimizer)
    others = {n: u.value.clone() for n, u in model.candidates.items() if n != E}
    fit(model, scenes, epochs=epochs)
    assert float(model.values()[E]) == pytest.approx(1.2e5, rel=error)
    for name, value in others.items():
        assert torch.equal(model.candidates[name].value, value)


def test_every_epoch_ends_with_the_loss_at_the_values_that_it_reached():
    model, scenes = fitted([E])
    done = fit(model, scenes, epochs=2, validate=True)
    # Lightning's means are in single precision.
    assert float(done.callback_metrics["loss"]) == pytest.approx(model.total_loss(scenes).item(), rel=1e-6)


def test_a_field_and_one_number_are_found_together():
    stiffness = torch.linspace(0.8e5, 1.2e5, 18)
    model, scenes = fitted(
        [E, "density"], truth={E: stiffness, "density": 950.0}, optimizer=lbfgs, count=2, fields={E: "cells"}
    )
    start = model.total_loss(scenes).item()
    fit(model, scenes, epochs=4)
    assert model.total_loss(scenes).item() < 1e-3 * start
    assert float(model.values()["density"]) == pytest.approx(950.0, rel=0.02)


def test_a_model_is_tested_with_the_trainers_own_defaults():
    model, scenes = fitted([E])
    # In inference mode, which allows no autograd at all.
    (result,) = trainer().test(model, scene_loader(scenes), verbose=False)
    assert result["test_loss"] == pytest.approx(model.total_loss(scenes).item(), rel=1e-6)


def test_a_loader_gives_all_scenes_at_once_or_in_batches_of_their_order():
    _, scenes = fitted([E], count=3)
    (batch,) = scene_loader(scenes)
    assert isinstance(batch, ObservedScenes)
    assert all(torch.equal(a, b) for a, b in zip(batch, scenes, strict=True))
    batches = list(scene_loader(scenes, batch_size=2))
    assert [len(batch.positions) for batch in batches] == [2, 1]
    assert torch.equal(batches[1].observed, scenes.observed[2:])


@pytest.mark.unchecked
@pytest.mark.parametrize("part", ObservedScenes._fields)
def test_scenes_in_half_precision_are_refused_by_name(part):
    _, scenes = fitted([E])
    with pytest.raises(TypeError, match=f"{part} of scenes must be a tensor of float32 or float64"):
        scene_loader(scenes._replace(**{part: getattr(scenes, part).half()}))


def test_a_gradient_that_is_not_zero_is_not_warned_of():
    model, scenes = fitted([E])
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*exactly zero")
        fit(model, scenes, epochs=1)

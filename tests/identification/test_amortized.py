"""A network that identifies unseen bodies, and the fits that start from what it predicts."""

import functools
import math
import warnings

import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from support.observed import DT, E, observed_beam
from support.scenes import moving
from torch import nn

from simlayer import State
from simlayer.errors import ObservationError, SimulationError
from simlayer.identification import AmortizedIdentification, RecordEncoder, identify_specimens
from simlayer.identification.unknowns import quantities_of

pytestmark = [
    pytest.mark.usefixtures("float64"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
]
TIMES = [DT * k for k in range(1, 9)]
NOISE = 1e-4


def module(**options):
    """A clamped beam that starts in motion, with an unknown modulus."""
    observed = observed_beam(times=torch.tensor(TIMES))
    start = State(*(part[0] for part in moving((3, 1, 1), 1)[:2]))
    given = {"prior": {E: (0.5e5, 2e5)}, "noise": NOISE, "bodies": 64, "held_out": 64, "batch_size": 16}
    return AmortizedIdentification(**{"observed": observed, "state": start, **given, **options})


def fitted(made, epochs, **options):
    seed_everything(0, verbose=False)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(made)
    return made, trainer.callback_metrics


@functools.cache
def trained():
    torch.set_default_dtype(torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fitted(module(optimizer=functools.partial(torch.optim.Adam, lr=3e-3)), 30)


def test_a_trained_network_predicts_unseen_bodies_and_how_sure_it_is():
    made, metrics = trained()
    truth, recordings = made.draw(64, seed=5)
    predicted = made.predict(recordings)
    error = (predicted.values[E] / truth[E] - 1).abs().median()
    # The prior alone, from 0.5e5 to 2e5, has a median error of about 0.4.
    assert error < 0.05
    assert float(metrics["median_error/youngs_modulus"]) < 0.05
    assert 0.4 < float(metrics["coverage/1_sd"]) <= 1
    assert 0.8 < float(metrics["coverage/2_sd"]) <= 1
    assert {"train_loss", "loss"} <= metrics.keys()
    assert predicted.standard_errors[E].median() < 0.1 * 1e5


def test_refined_values_are_those_of_fits_that_start_from_what_is_predicted():
    made, _ = trained()
    truth, recordings = made.draw(4, seed=6)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    refined = made.refine(recordings, steps=2)
    assert all(torch.equal(value, before[name]) for name, value in made.state_dict().items())
    observed = observed_beam(times=torch.tensor(TIMES))
    observed.quantities_by_name()[E].assign(1e5)
    observed.rollout.step.forces["elastic"].material.youngs_modulus = made.predict(recordings).values[E][
        :, None
    ]
    fits = identify_specimens(
        observed.rollout,
        recordings,
        E,
        state=State(made.simulated.positions, made.simulated.velocities),
        observe=observed.sensors,
        times=TIMES,
        max_steps=2,
        must_converge=False,
    )
    torch.testing.assert_close(refined.values[E], fits.values[E], rtol=1e-9, atol=0)
    torch.testing.assert_close(refined.standard_errors[E], fits.standard_errors[E], rtol=1e-6, atol=0)
    errors = (refined.values[E] - truth[E]).abs() / refined.standard_errors[E]
    assert errors.max() < 5


def test_a_network_that_is_loaded_predicts_what_it_did():
    made, _ = trained()
    _, recordings = made.draw(3, seed=7)
    again = module()
    again.load_state_dict(made.state_dict())
    assert torch.equal(again.predict(recordings).stored, made.predict(recordings).stored)


def test_points_that_were_not_observed_change_nothing_by_where_they_might_have_been():
    made, _ = trained()
    _, recordings = made.draw(2, seed=8)
    recordings[:, 3, 4] = math.nan
    moved = recordings.clone()
    moved[:, 3, 4, 0] = 5.0  # a point is observed only as a whole
    assert torch.equal(made.predict(recordings).stored, made.predict(moved).stored)


def test_only_the_network_is_trained_and_the_rollout_keeps_its_values():
    made = module()
    names = {name for name, parameter in made.named_parameters() if parameter.requires_grad}
    assert names
    assert all(name.startswith("network.encoder.") for name in names)
    step = {"": made.simulated.observed.rollout.step}
    before = {name: unknown.value for name, unknown in quantities_of(step).items()}
    fitted(made, 1)
    after = quantities_of(step)
    assert all(torch.equal(value, after[name].value) for name, value in before.items())


def test_bodies_are_drawn_anew_every_so_many_epochs():
    seen = []

    class Seen(Callback):
        def on_train_epoch_end(self, trainer, made):
            seen.append(torch.cat([stored for stored, _ in made.train_dataloader()]).sort(0).values)

    fitted(module(bodies=8, held_out=4, redraw_every=2), 4, callbacks=[Seen()])
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[2], seen[3])
    assert not torch.equal(seen[1], seen[2])


def test_an_encoder_of_ones_own_sees_coordinates_presence_and_time():
    seen = []

    class Own(nn.Module):
        def __init__(self, channels, frames, outputs):
            super().__init__()
            self.sizes, self.last = (channels, frames, outputs), nn.Linear(channels * frames, outputs)

        def forward(self, records):
            seen.append(records)
            return self.last(records.flatten(1))

    made = module(encoder=Own, missing=0.25, prior={E: (0.5e5, 2e5), "poissons_ratio": (0.3, 0.45)})
    assert made.network.encoder.sizes == (4 * 16 + 1, 8, 5)
    _, recordings = made.draw(20, seed=0)
    predicted = made.predict(recordings)
    present = seen[0][:, 48:64]
    assert torch.equal(present.mT == 0, recordings.isnan().all(-1))
    assert 0.7 < present.mean() < 0.8
    torch.testing.assert_close(seen[0][0, 64], torch.linspace(-1, 1, 8))
    assert predicted.correlation.shape == (20, 2, 2)
    assert list(predicted.names) == [E, "forces.elastic.material.poissons_ratio"]


def test_a_body_of_the_prior_that_cannot_be_simulated_is_named_with_its_values():
    made = module(prior={E: (1e5, 1e12)})
    with pytest.raises(SimulationError, match=r"a body of the prior, with .*youngs_modulus = .* Pa, cann"):
        made.draw(8, seed=0)
    assert made.simulated.observed.quantities_by_name()[E].parameter.numel() == 1


@pytest.mark.unchecked
def test_what_is_no_batch_of_recordings_or_no_setting_is_refused():
    made = module()
    with pytest.raises(ObservationError, match=r"recordings must be of shape \(B, 8, 16, 3\)"):
        made.predict(torch.zeros(8, 16, 3))
    with pytest.raises(ObservationError, match="recordings must be finite, or NaN"):
        made.refine(torch.full((1, 8, 16, 3), math.inf))
    with pytest.raises(ObservationError, match=r"noise must be one standard deviation, .* of 16 points"):
        module(noise=torch.ones(4, 3))
    with pytest.raises(ObservationError, match="noise must be positive"):
        module(noise=0.0)
    with pytest.raises(ValueError, match=r"missing must be .* below 1"):
        module(missing=1.0)
    wrong = module(encoder=lambda channels, frames, outputs: nn.Flatten())
    _, recordings = made.draw(2, seed=0)
    with pytest.raises(TypeError, match=r"encoder must map \(2, 65, 8\) to \(2, 2\), got Tensor of shape"):
        wrong.predict(recordings)
    with pytest.raises(TypeError, match="what encoder returns must be of class Module"):
        module(encoder=lambda *sizes: None)
    with pytest.raises(ValueError, match=r"state must be that of all bodies, \(N, 3\)"):
        AmortizedIdentification(
            made.simulated.observed, moving((3, 1, 1), 2), prior={E: (1e5, 2e5)}, noise=NOISE
        )


@pytest.mark.parametrize("frames", [1, 2, 7])
@pytest.mark.parametrize("kernel", [1, 4, 5])
def test_a_record_encoder_reads_records_of_any_length(frames, kernel):
    encoder = RecordEncoder(6, frames, 3, width=4, kernel=kernel)
    assert encoder(torch.zeros(2, 6, frames)).shape == (2, 3)

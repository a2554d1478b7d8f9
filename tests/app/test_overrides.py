"""The command line: a misspelt word is answered by the nearest there is."""

import re

import pytest
from hydra.core.global_hydra import GlobalHydra
from support.configs import composed

from simlayer.app.overrides import HYDRA_INFO_FLAGS, compose_arguments
from simlayer.errors import ConfigError


def test_overrides_reach_the_configuration():
    config = composed(
        "material.youngs_modulus=2e5", "optimizer=adam", "optimizer.lr=0.02", "+trainer.detect_anomaly=false"
    )
    assert config.material.youngs_modulus == 2e5
    assert config.optimizer._target_ == "torch.optim.Adam"
    assert config.optimizer.lr == 0.02
    assert config.trainer.detect_anomaly is False


def test_a_multirun_over_the_options_that_a_pattern_names_is_checked_with_the_first():
    config, _ = compose_arguments(["-m", "material=glob(l*)"])
    assert config.material._target_.endswith("LinearElastic")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["material.young_modulus=1"],
            "no key is named 'material.young_modulus'; did you mean 'material.youngs_modulus'?",
        ),
        (["trainer.max_epoch=1"], "no key is named 'trainer.max_epoch'; did you mean 'trainer.max_epochs'?"),
        (["material.poissons_ratio=0.3", "sed=1"], "no key is named 'sed'; did you mean 'seed'?"),
        (["optimzer=adam"], "no key is named 'optimzer'; did you mean 'optimizer'?"),
        (["unseen.data.path=a.csv"], "'unseen.data.path' is now named holdout.data.path."),
        (["forces=elastic_and_contact"], "did you mean 'elastic"),
        (["forces=elastic_and_contact"], "Several are listed: forces=["),
        (["qqqqqqqq=1"], "no key is named 'qqqqqqqq'; --help lists groups"),
        (
            ["optimizer=lbgfs"],
            "optimizer has no option 'lbgfs'; did you mean 'lbfgs'? There are: adam, adamw, auto, "
            "gauss_newton, lbfgs, sgd.",
        ),
        (["experiment=cantilevr"], "experiment has no option 'cantilevr'; did you mean 'cantilever'?"),
        (["material=neo_hookian"], "material has no option 'neo_hookian'; did you mean 'neo_hookean'?"),
        (["material.youngs_modulus"], "overrides have the form KEY=VALUE: "),
        (["optimizer.lr=[1"], "overrides have the form KEY=VALUE: "),
        (["optimizer=adam,lbfgs"], "optimizer has several values, which needs a multirun: add -m."),
        (["material.youngs_modulus=1e5,2e5"], "material.youngs_modulus has several values"),
        (["seed=range(3)"], "seed has several values"),
        (["-m", "seed=range(0,0)"], "seed=range(0,0) has no values to sweep over."),
        (["-m", "material=glob(q*)"], "material=glob(q*) has no values to sweep over."),
        (["-m", "sweep_name=a,b"], "sweep_name has several values, but is one for all runs"),
        (
            ["-m", "step.dt=interval(1,2)"],
            "step.dt has an interval, of which only a search takes values: add hydra/sweeper=optuna.",
        ),
        (
            ["-m", "hydra/sweeper=optuna", "seed=1,2"],
            "results.json small, such as objective=loss.found.",
        ),
        (["step.density=abc"], "step.density must be a number, such as 1000.0, got 'abc'."),
        (["seed=abc"], "seed must be a number, such as 0, got 'abc'."),
        (["optimizer=adam", "optimizer.lr=abc"], "optimizer.lr must be a number, such as 0.05, got 'abc'."),
        (["-m", "optimizer=lbfgs", "optimizer.lr=0.1,abc"], "optimizer.lr must be a number, such as 1.0"),
        (["material={youngs_modulus: abc}"], "material.youngs_modulus must be a number, such as 300000.0"),
        (["step.gravity=down"], "step.gravity must be a list of numbers, such as [0.0, 0.0, -9.81], got"),
        (["step.gravity=[0,0,down]"], "step.gravity must be a list of numbers"),
        (["fields=cells"], "fields must be keys and values, {KEY: VALUE, ...}, got 'cells'."),
        (["rollout.compile=maybe"], "rollout.compile must be true or false (it is false), got 'maybe'."),
        (["mesh=3"], "mesh must be the name of an option, ball, box, cantilever, file, got 3."),
        (["mesh.path={_target_: os.mkdir, path: x}"], "mesh.path._target_ can only be of simlayer., "),
        (["data.path._target_=os.mkdir"], "data.path._target_"),
        (["mesh._target_=os.mkdir"], "mesh._target_ can only be of simlayer., "),
        (
            ["experiment=damping", "data.path=take.csv"],
            "set initial=at_rest, or",
        ),
        (["--config-dir", "nowhere"], "--config-dir nowhere is not a folder (looked from "),
        (["--config-dir=nowhere"], "--config-dir nowhere is not a folder (looked from "),
    ],
)
def test_a_mistake_is_named_with_what_comes_nearest(arguments, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        composed(*arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("flag", ["-m", "--multirun"])
def test_of_a_multirun_the_first_run_is_composed(flag):
    config = composed(flag, "optimizer=adam,lbfgs", "optimizer.lr=0.5,0.1", "seed=range(3,5)")
    assert config.optimizer._target_ == "torch.optim.Adam"
    assert config.optimizer.lr == 0.5
    assert config.seed == 3


def test_an_experiment_of_ones_own_is_found_in_its_folder(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nname: mine\nseed: 7\n")
    config = composed("--config-dir", str(tmp_path), "experiment=mine")
    assert (config.name, config.seed) == ("mine", 7)
    with pytest.raises(ConfigError, match="experiment has no option 'mime'; did you mean 'mine'"):
        composed("--config-dir", str(tmp_path), "experiment=mime")


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        (["seed=1", "-m", "threads=1"], ["--multirun", "--config-name", "train", "seed=1", "threads=1"]),
        (["seed=1", "-cd", "."], ["--config-name", "train", "--config-dir", ".", "seed=1"]),
        (["seed=1", "--config-dir=."], ["--config-name", "train", "--config-dir", ".", "seed=1"]),
    ],
)
def test_hydra_gets_options_first_wherever_they_were(given, passed):
    assert compose_arguments(given)[1] == passed


@pytest.mark.parametrize("flag", [*HYDRA_INFO_FLAGS, "--cfg=job"])
def test_where_hydra_only_prints_information_nothing_is_composed(flag):
    assert composed(flag, "nonsense=1") is None


def test_nothing_of_a_composition_is_left_behind():
    composed()
    with pytest.raises(ConfigError):
        composed("sed=1")
    assert not GlobalHydra.instance().is_initialized()


def test_values_of_another_kind_that_make_sense_pass():
    config = composed("step.dt=1e-4", "trainer.gradient_clip_val=null", "rollout.compile=auto")
    assert (config.step.dt, config.rollout.compile) == (1e-4, "auto")
    config = composed(
        "initial=pulled_and_twisted", "initial.known.pull=[1,2]", "seed=${threads}", "holdout=null"
    )
    assert list(config.initial.known.pull) == [1, 2]


def test_the_advice_for_a_field_works_as_it_is_printed():
    with pytest.raises(ConfigError, match=r"add it with two plus signs: \+\+fields\.density=") as error:
        composed("fields.density=cells")
    key = str(error.value).rpartition(" ")[2].removesuffix("...")
    assert composed(f"{key}cells").fields == {"density": "cells"}
    with pytest.raises(ConfigError, match=r"two plus signs: \+\+fields="):
        composed("fields={density: cells}")
    assert composed("++fields={density: cells}").fields == {"density": "cells"}


def test_nothing_of_the_demonstration_belongs_to_a_body_with_data_of_its_own():
    config = composed("data.path=deformed.vtu", "trainable=[density]")
    assert config.initial.known._target_.endswith("at_rest")
    assert not config.dissipation
    assert not config.data.truth
    assert compose_arguments(["data.path=deformed.vtu"])[1][-2:] == [
        "experiment=blank",
        "data.path=deformed.vtu",
    ]
    kept = composed(
        "experiment=damping", "data=marker_paths", "data.path=take.csv", "initial=pulled_and_twisted"
    )
    assert kept.initial.known._target_.endswith("pulled_and_twisted")

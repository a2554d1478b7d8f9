"""The command line: a misspelt word is answered by the nearest there is."""

import re

import pytest
from hydra.core.global_hydra import GlobalHydra
from support.configs import composed

from simlayer.app.overrides import HYDRA_INFO_FLAGS, compose_arguments
from simlayer.errors import ConfigError


def test_overrides_reach_the_configuration():
    config = composed(
        "material.youngs_modulus=2e5", "optimizer=adam", "optimizer.lr=0.02", "+trainer.num_nodes=1"
    )
    assert config.material.youngs_modulus == 2e5
    assert config.optimizer._target_ == "torch.optim.Adam"
    assert config.optimizer.lr == 0.02
    assert config.trainer.num_nodes == 1


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
            "optimizer has no option 'lbgfs'; did you mean 'lbfgs'? There are: adam, adamw, lbfgs, sgd.",
        ),
        (["experiment=cantilevr"], "experiment has no option 'cantilevr'; did you mean 'cantilever'?"),
        (["material=neo_hookian"], "material has no option 'neo_hookian'; did you mean 'neo_hookean'?"),
        (["material.youngs_modulus"], "overrides have the form KEY=VALUE: "),
        (["optimizer.lr=[1"], "overrides have the form KEY=VALUE: "),
        (["optimizer=adam,lbfgs"], "optimizer has several values, which needs a multirun: add -m."),
        (["material.youngs_modulus=1e5,2e5"], "material.youngs_modulus has several values"),
        (["seed=range(3)"], "seed has several values"),
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

"""Configurations as the command line composes them."""

from omegaconf import OmegaConf

from simlayer.training.app import PACKAGE, configs
from simlayer.training.overrides import checked


def composed(*arguments):
    # The program itself registers it when it starts.
    OmegaConf.register_new_resolver("asset", lambda name: str(PACKAGE / "assets" / name), replace=True)
    return checked(arguments, configs())[0]

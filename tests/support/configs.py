"""Configurations as the command line composes them."""

from omegaconf import OmegaConf

from simlayer.app.main import ASSETS
from simlayer.app.overrides import compose_arguments


def composed(*arguments):
    # The program itself registers it when it starts.
    OmegaConf.register_new_resolver("asset", lambda name: str(ASSETS / name), replace=True)
    return compose_arguments(arguments)[0]

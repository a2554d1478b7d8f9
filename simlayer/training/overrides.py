"""Command-line overrides, checked before Hydra runs: a misspelt one is answered by the nearest there is."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from simlayer.errors import ConfigError

# With one of these Hydra prints something and runs nothing.
GROUPS = ("experiment", "debug")  # which are no keys
TELLING = (
    "--help",
    "-h",
    "--hydra-help",
    "--version",
    "--cfg",
    "-c",
    "--info",
    "-i",
    "--shell-completion",
    "-sc",
)


def checked(arguments: Sequence[str], configs: Path) -> DictConfig | None:
    """The configuration that these arguments compose (a multirun's first); None if nothing is to be run.

    Raises:
        ConfigError: if they do not compose; the message names the key or option, and the nearest one.
    """
    if any(argument.partition("=")[0] in TELLING for argument in arguments):
        return None
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd")
    parser.add_argument("--config-name", "-cn", default="train")
    parser.add_argument("--multirun", "-m", action="store_true")
    known, rest = parser.parse_known_args(list(arguments))
    if known.config_dir and not Path(known.config_dir).is_dir():
        raise ConfigError(f"--config-dir {known.config_dir} is not a folder (looked from {Path.cwd()}).")
    overrides = [argument for argument in rest if not argument.startswith("-")]
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except HydraException as error:
        raise ConfigError(f"an override is written KEY=VALUE: {_first_line(error)}") from error
    swept = [override.key_or_group for override in parsed if override.is_sweep_override()]
    if swept and not known.multirun:
        raise ConfigError(f"{swept[0]} has several values, which needs a multirun: add -m.")
    singles = [_single(override) for override in parsed]
    if known.config_dir:
        singles.append(f"hydra.searchpath=[file://{Path(known.config_dir).resolve()}]")
    with initialize_config_dir(str(configs), version_base="1.3"):
        try:
            return compose(known.config_name, singles)
        except YAMLError as error:
            raise ConfigError(f"a configuration file is not YAML: {' '.join(str(error).split())}") from error
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(_explained(error, parsed, known.config_name)) from error


def _single(override: Override) -> str:
    if not override.is_sweep_override():
        return str(override.input_line)
    return f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}"


def _explained(error: Exception, overrides: Iterable[Override], config_name: str) -> str:
    """What is wrong in one line, with what comes nearest to a key that does not exist."""
    default = compose(config_name, return_hydra_config=False)
    keys = [*_keys(default), *GROUPS]
    for override in overrides:
        key = override.key_or_group
        if (
            override.is_add()
            or key.startswith("hydra")
            or (f"{key}=" not in f"{error}=" and key not in str(error))
        ):
            continue
        if OmegaConf.select(default, key, default=_keys) is _keys and "Could not find" not in str(error):
            near = difflib.get_close_matches(key, keys, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else "--help lists groups, --cfg job all keys."
            return f"no key is named {key!r}; {hint}"
    text = str(error)
    if "Could not find '" in text and "Available options" in text:
        wanted = text.partition("Could not find '")[2].partition("'")[0]
        group, _, option = wanted.rpartition("/")
        listed = text.partition("Available options")[2].partition("Config search path")[0]
        options = [line.strip() for line in listed.splitlines()[1:] if line.strip()]
        near = difflib.get_close_matches(option, options, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return f"{group} has no option {option!r}; {hint}There are: {', '.join(options)}."
    return " ".join(text.split())


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _keys(config: DictConfig) -> list[str]:
    keys: list[str] = []

    def visit(node: DictConfig, path: str) -> None:
        for key in node:
            keys.append(f"{path}{key!s}")
            child = node._get_node(key)
            if isinstance(child, DictConfig):
                visit(child, f"{keys[-1]}.")

    visit(config, "")
    return keys

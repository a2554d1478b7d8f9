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
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from simlayer.errors import ConfigError

GROUPS = ("experiment", "debug")  # which are no keys
OPEN = ("data.truth.", "fields.")  # whose keys are the user's

# With one of these Hydra prints something and runs nothing.
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


def checked(arguments: Sequence[str], configs: Path) -> tuple[DictConfig | None, list[str]]:
    """What these arguments compose (a multirun's first run), None if nothing is to be run; and the arguments
    as Hydra wants them, options first.

    Raises:
        ConfigError: if they do not compose; the message names the key or option, and the nearest one.
    """
    if any(argument.partition("=")[0] in TELLING for argument in arguments):
        return None, list(arguments)
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd")
    parser.add_argument("--config-name", "-cn", default="train")
    parser.add_argument("--multirun", "-m", action="store_true")
    known, rest = parser.parse_known_args(list(arguments))
    if known.config_dir and not Path(known.config_dir).is_dir():
        raise ConfigError(f"--config-dir {known.config_dir} is not a folder (looked from {Path.cwd()}).")
    overrides = [argument for argument in rest if not argument.startswith("-")]
    options = [argument for argument in rest if argument.startswith("-")]
    options += ["--multirun"] * known.multirun + ["--config-name", known.config_name]
    options += ["--config-dir", known.config_dir] if known.config_dir else []
    return _composed(overrides, known, configs), [*options, *overrides]


def _composed(overrides: list[str], options: argparse.Namespace, configs: Path) -> DictConfig:
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except HydraException as error:
        raise ConfigError(f"an override is written KEY=VALUE: {str(error).splitlines()[0]}") from error
    swept = [override.key_or_group for override in parsed if override.is_sweep_override()]
    if swept and not options.multirun:
        raise ConfigError(f"{swept[0]} has several values, which needs a multirun: add -m.")
    singles = [_single(override) for override in parsed]
    if options.config_dir:
        singles.append(f"hydra.searchpath=[file://{Path(options.config_dir).resolve()}]")
    with initialize_config_dir(str(configs), version_base="1.3"):
        try:
            return compose(options.config_name, singles)
        except YAMLError as error:
            raise ConfigError(f"a configuration file is not YAML: {' '.join(str(error).split())}") from error
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(_explained(error, parsed, options.config_name)) from error


def _single(override: Override) -> str:
    if not override.is_sweep_override():
        return str(override.input_line)
    return f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}"


def _explained(error: Exception, overrides: Iterable[Override], config_name: str) -> str:
    """What is wrong in one line, with what comes nearest to a key or option that does not exist."""
    text = str(error)
    if "Could not find '" in text and "Available options" in text:
        return _no_such_option(text)
    default = compose(config_name)
    keys = [*_keys(default), *GROUPS]
    for key in (override.key_or_group for override in overrides if not override.is_add()):
        if key in text and key not in keys:
            if key.startswith(OPEN):
                return f"{key} is new there; add it with two plus signs: ++{key}=..."
            near = difflib.get_close_matches(key, keys, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else "--help lists groups, --cfg job all keys."
            return f"no key is named {key!r}; {hint}"
    return " ".join(text.split())


def _no_such_option(text: str) -> str:
    wanted = text.partition("Could not find '")[2].partition("'")[0]
    group, _, option = wanted.rpartition("/")
    listed = text.partition("Available options")[2].partition("Config search path")[0]
    options = [line.strip() for line in listed.splitlines()[1:] if line.strip()]
    near = difflib.get_close_matches(option, options, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{group} has no option {option!r}; {hint}There are: {', '.join(options)}."


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

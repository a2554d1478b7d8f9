"""Command-line overrides, composed before Hydra runs, so that an unknown name is answered by the nearest."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from simlayer.app.config_tree import config_folder, dotted_keys
from simlayer.app.override_values import choice_problems, override_problems
from simlayer.app.sweep_values import first_value, sweep_problems
from simlayer.errors import ConfigError

GROUPS = ("experiment", "debug")  # Groups that are not keys of the composed configuration.
LISTS = ("forces", "dissipation", "masses")  # Groups of which several options can be listed.
OPEN_NAMESPACES = (
    "data.truth.",
    "fields.",
    "holdout.",
    "task.prior.",
    "task.parts.",
    "task.tests.",
    "task.twin.truth.",
)
PLUGINS = {
    "hydra/launcher": ("joblib", "submitit_local", "submitit_slurm"),
    "hydra/sweeper": ("optuna",),
}
RENAMED = {"unseen": "holdout"}

# With one of these flags Hydra prints information and runs nothing.
HYDRA_INFO_FLAGS = (
    *("--help", "-h", "--hydra-help", "--version", "--cfg", "-c", "--info", "-i"),
    *("--shell-completion", "-sc"),
)


def compose_arguments(arguments: Sequence[str]) -> tuple[DictConfig | None, list[str]]:
    """Return the configuration that arguments compose, and the arguments in Hydra's order, options first.

    Of a multirun it is the configuration of the first run; it is None if Hydra only prints information.

    Raises:
        ConfigError: if they do not compose; the message names the key or option, and the nearest one.
    """
    if any(argument.partition("=")[0] in HYDRA_INFO_FLAGS for argument in arguments):
        return None, list(arguments)
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd")
    parser.add_argument("--config-name", "-cn", default="train")
    parser.add_argument("--multirun", "-m", action="store_true")
    flags, rest = parser.parse_known_args(list(arguments))
    if flags.config_dir and not Path(flags.config_dir).is_dir():
        raise ConfigError(f"--config-dir {flags.config_dir} is not a folder (looked from {Path.cwd()}).")
    overrides = [argument for argument in rest if not argument.startswith("-")]
    options = [argument for argument in rest if argument.startswith("-")]
    options += ["--multirun"] * flags.multirun + ["--config-name", flags.config_name]
    options += ["--config-dir", flags.config_dir] if flags.config_dir else []
    if _has_data_of_its_own(overrides) and not any(given.startswith("experiment=") for given in overrides):
        # The default experiment is a demonstration, of which nothing belongs to another body.
        overrides.insert(0, "experiment=blank")
    return _composed(overrides, flags), [*options, *overrides]


def _composed(overrides: list[str], flags: argparse.Namespace) -> DictConfig:
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except HydraException as error:
        raise ConfigError(f"overrides have the form KEY=VALUE: {str(error).splitlines()[0]}") from error
    if problems := [*sweep_problems(parsed, multirun=flags.multirun)]:
        raise ConfigError("\n".join(problems))
    folders = [config_folder(), *([Path(flags.config_dir).resolve()] if flags.config_dir else [])]
    groups = [override for override in parsed if _is_group(override, folders)]
    values = [override for override in parsed if override not in groups]
    named = [group for group in groups if not isinstance(group.value(), Glob)]
    problems = [line for group in named for line in choice_problems(group, _options(group, folders))]
    first = [first_value(override, partial(_options, folders=folders)) for override in (*groups, *values)]
    base = [*first[: len(groups)], *(f"hydra.searchpath=[file://{folder}]" for folder in folders[1:])]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        known: DictConfig | None = None  # the configuration, as far as it could be composed
        try:
            if not problems:
                known = defaults = compose(flags.config_name, base)
                changes = [override for override in values if not override.is_delete()]
                problems = [line for change in changes for line in override_problems(change, defaults)]
            if problems:
                raise ConfigError("\n".join(problems))
            config = compose(flags.config_name, [*base, *first[len(groups) :]]) if values else defaults
        except YAMLError as error:
            raise ConfigError(f"a configuration file is not YAML: {' '.join(str(error).split())}") from error
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(_explanation(error, parsed, known or compose(flags.config_name))) from error
    if _has_data_of_its_own(overrides):
        _check_start(config, parsed)
    return config


def _is_group(override: Override, folders: Iterable[Path]) -> bool:
    """Return whether an override chooses options of a group, rather than values."""
    known = any((folder / override.key_or_group).is_dir() for folder in folders)
    return known and not isinstance(override.value(), dict)


def _options(override: Override, folders: Iterable[Path]) -> list[str]:
    return sorted(path.stem for folder in folders for path in (folder / override.key_or_group).glob("*.yaml"))


def _has_data_of_its_own(overrides: Iterable[str]) -> bool:
    pairs = [override.lstrip("+").partition("=") for override in overrides]
    return any(key == "data.path" and value not in ("null", "") for key, _, value in pairs)


def _check_start(config: DictConfig, overrides: Iterable[Override]) -> None:
    """Raise ConfigError if a body of the user's own would start like that of a demonstration."""
    start = str(OmegaConf.select(config, "initial.known._target_")).rpartition(".")[2]
    demonstration = (config_folder() / "experiment" / f"{config.name}.yaml").is_file()
    said = any(override.key_or_group.partition(".")[0] == "initial" for override in overrides)
    if demonstration and not said and start != "at_rest":
        raise ConfigError(
            f"with data.path, how the body starts has to be said: experiment={config.name} starts its own as "
            f"initial={start}; set initial=at_rest, or initial={start} if that is how yours started."
        )


def _explanation(error: Exception, overrides: Iterable[Override], defaults: DictConfig) -> str:
    """Return what is wrong in one line, with the nearest key or option for one that does not exist."""
    text = str(error)
    if "Could not find '" in text and "Available options" in text:
        return _no_such_option(text)
    keys = [*dotted_keys(defaults), *GROUPS]
    for key in (override.key_or_group for override in overrides if not override.is_add()):
        if key in text and f"{key}." in OPEN_NAMESPACES:
            return f"{key} gets new keys; add them with two plus signs: ++{key}=..."
        if key in text and key not in keys:
            first, dot, rest = key.partition(".")
            if first in RENAMED:
                return f"{key!r} is now named {RENAMED[first]}{dot}{rest}."
            if key.startswith(OPEN_NAMESPACES):
                return f"{key} is a new key; add it with two plus signs: ++{key}=..."
            near = difflib.get_close_matches(key, keys, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else "--help lists groups, --cfg job all keys."
            return f"no key is named {key!r}; {hint}"
    return " ".join(text.split())


def _no_such_option(text: str) -> str:
    wanted = text.partition("Could not find '")[2].partition("'")[0]
    group, _, option = wanted.rpartition("/")
    available = text.partition("Available options")[2].partition("Config search path")[0]
    options = [line.strip() for line in available.splitlines()[1:] if line.strip()]
    near = difflib.get_close_matches(option, options, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    if group in PLUGINS and option in PLUGINS[group]:
        return f"{group}={option} needs the extra `sweeps`: pip install 'simlayer[sweeps]'"
    several = f" Several are listed: {group}=[{','.join(options[:2])}]." if group in LISTS else ""
    return f"{group} has no option {option!r}{hint} There are: {', '.join(options)}.{several}"

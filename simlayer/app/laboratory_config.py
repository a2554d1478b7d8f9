"""The tests on specimens that a configuration lists, each with the parts of it that are its own."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from simlayer.app.config_tree import read_option
from simlayer.app.laboratory_tests import SpecimenEntry
from simlayer.app.selection import selections
from simlayer.errors import ConfigError, hint
from simlayer.laboratory.read_displacements import read_displacements
from simlayer.laboratory.read_load_curve import read_load_curve

# Parts of the configuration that a test may have of its own.
GROUPS = ("mesh", "constraints", "obstacle", "forces", "masses", "dissipation", "step")

_CURVE = {*inspect.signature(read_load_curve).parameters, "up_to", "unload"} - {"kind"}
_FIELD = {*inspect.signature(read_displacements).parameters, "rigid_motion", "at", "components"}
_FIELD |= {"moved", "moved_by", "grip", "axis", "about"}
_SCAN = {"path", "unit", "scale", "count", "outlier_distance", "surface_reach", "rigid_motion", "outliers"}
_GRIP = {"grip", "axis", "copies", "lasts"}

# What the tests of each kind may say beside `kind`, `noise` and the groups.
KINDS = {
    "pull": _CURVE | _GRIP,
    "twist": _CURVE | _GRIP | {"about"},
    "pressure_volume": (_CURVE | {"cavity"}) - {"time", "time_unit", "start"},
    "displacements": _FIELD,
    "scan": _SCAN,
}


def configured_tests(
    config: DictConfig, tests: Mapping[str, Mapping[str, Any]], common: Mapping[str, Any]
) -> list[SpecimenEntry]:
    """Return the tests of a configuration, each of which has the keys of `common` where it says nothing else.

    Raises:
        ConfigError: if there is none, or a key or a kind is unknown.
    """
    path = config.data.path
    if tests and path is not None:
        raise ConfigError("data.path and task.tests exclude each other: give each of task.tests its path.")
    if not tests and path is None:
        raise ConfigError("task.tests must have at least one test; see configs/task/laboratory.yaml.")
    if path is not None:
        tests = {re.sub(r"\W", "_", Path(path).stem): {"path": path}}
    return [_entry(config, str(name), dict(own or {}), dict(common)) for name, own in tests.items()]


def _entry(config: DictConfig, name: str, own: dict[str, Any], common: dict[str, Any]) -> SpecimenEntry:
    key = f"task.tests.{name}"
    if not name.replace("_", "").replace("-", "").isalnum():
        raise ConfigError(f"{key}: the name of a test must be of letters, digits, _ and -, got {name!r}.")
    kind = own.get("kind", common.get("kind"))
    if kind not in KINDS:
        raise ConfigError(f"{key}.kind must be one of {', '.join(KINDS)}, got {kind!r}.")
    known = KINDS[kind] | {"noise"}
    for each in own:
        if each not in known | {"kind"} | set(GROUPS):
            every = sorted(known | set(GROUPS))
            raise ConfigError(f"{key}.{each} is no key of a test of kind {kind}; {hint(each, every)}")
    if unknown := set(common).difference({"kind", "noise"}, *KINDS.values()):
        raise ConfigError(f"task.common.{min(unknown)} is no key of any kind of test.")
    both = {**common, **{each: value for each, value in own.items() if each not in GROUPS}}
    given = {each: both[each] for each in both if both[each] is not None and each in known}
    specimen = _specimen(config, name, [each for each in own if each in GROUPS])
    moves = kind in ("pull", "twist") or "moved_by" in given
    if moves and "grip" in given:  # which prescribes where its vertices are
        fixed: Any = specimen.constraints.fixed and OmegaConf.to_container(specimen.constraints.fixed)
        with open_dict(specimen):
            specimen.constraints = {"fixed": [*selections(fixed or None), given["grip"]]}
    return SpecimenEntry(name, kind, given, specimen)


def _specimen(config: DictConfig, name: str, groups: list[str]) -> DictConfig:
    """Return the configuration with the groups that a test has of its own."""
    specimen = config.copy()
    if not groups:
        return specimen
    written: Any = OmegaConf.to_container(config.task.tests[name], resolve=False)
    with open_dict(specimen):
        for group in groups:
            base = OmegaConf.to_container(config[group], resolve=False)
            own = written[group]
            if isinstance(own, str) and "${" not in own:
                own = OmegaConf.to_container(read_option(group, own, key=f"task.tests.{name}.{group}"))
                base = {}
            specimen[group] = own if group == "constraints" else _merged(base, own)
    return specimen


def _merged(base: Any, own: Any) -> Any:
    """Return a node with the keys of another, which replaces it if it describes another class."""
    if not isinstance(base, dict) or not isinstance(own, dict):
        return own
    if own.get("_target_", base.get("_target_")) != base.get("_target_"):
        return own
    both = {**base, **{key: _merged(base.get(key), value) for key, value in own.items()}}
    return {key: value for key, value in both.items() if value is not None or "_target_" in both}

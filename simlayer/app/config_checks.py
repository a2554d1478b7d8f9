"""Checks of a composed configuration, before anything is built."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from simlayer.app.config_tree import config_folder
from simlayer.errors import ConfigError

# The keys of a coarser simulation: with others it would be another body, or another motion.
COARSER = {"mesh": ("cells", "path"), "step": ("dt", "substeps")}


def check_config(config: DictConfig, *, multirun: bool) -> None:
    """Raise ConfigError with everything that is wrong with a composed configuration."""
    if missing := sorted(OmegaConf.missing_keys(config)):
        raise ConfigError("these have no value yet:\n" + "\n".join(f"  {_blank(key)}" for key in missing))
    if not (problems := [*_coarse(config)]):  # The others look into it.
        problems = [*_values(config), *_processes(config, multirun), *_data(config)]
        problems += _network(config) if config.task else [*_unknowns(config), *_optimizer(config)]
    if problems:
        raise ConfigError("\n".join(problems))


def _blank(key: str) -> str:
    """Return how a value that is missing is given, with what its file says of it."""
    group, *_, name = key.split(".")
    for path in sorted((config_folder() / group).glob("*.yaml")):
        if found := re.search(
            rf"^\s*{name}: \?\?\?\s*# (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE
        ):
            return f"{key}=...  {found[1]}"
    return f"{key}=..."


def _values(config: DictConfig) -> Iterator[str]:
    if config.dtype not in ("float32", "float64"):
        yield f"dtype must be float32 or float64, got {config.dtype!r}."
    for key in ("threads", "trainer.max_epochs"):
        value = OmegaConf.select(config, key)
        if not isinstance(value, int) or value < 1:
            yield f"{key} must be a whole number of at least 1, got {value!r}."
    for key in ("duration", "step.dt", "coarse.step.dt"):
        value = OmegaConf.select(config, key)
        if value not in (None, "auto") and not (isinstance(value, int | float) and value > 0):
            yield f"{key} must be a positive number of seconds, got {value!r}."
    for key in ("run_name", "sweep_name"):
        name = str(config[key])
        if set(name) & set("=\\"):
            yield f"{key} must not contain = or \\, which break later overrides, got {name!r}."
        if name != name.strip():
            yield f"{key} must not begin or end with a blank, got {name!r}."
        inside = Path(os.path.normpath(name))
        if inside.is_absolute() or inside == Path() or ".." in inside.parts:
            yield f"{key} must name a folder inside output={config.output}, got {name!r}."
    if config.trainer.get("precision") is not None:
        yield "trainer.precision has no effect on the simulation; use dtype=float32 or dtype=float64."


def _unknowns(config: DictConfig) -> Iterator[str]:
    if not config.trainable or isinstance(config.trainable, str):
        yield f"trainable must be a list of names, such as [youngs_modulus], got {config.trainable!r}."


def _network(config: DictConfig) -> Iterator[str]:
    target = str(config.optimizer.get("_target_", ""))
    whole = bool(getattr(get_class(config.task["_target_"]), "full_batch", False))
    if target.endswith("GaussNewton") or (target.endswith("LBFGS") and not whole):
        also = ", or lbfgs" if whole else ""
        yield f"a network is trained on some samples at a time: set optimizer=adam, adamw or sgd{also}."
    if num_processes(config) > 1:
        yield f"task={config.task['_target_'].rpartition('.')[2]} runs in one process: set trainer.devices=1."


def _optimizer(config: DictConfig) -> Iterator[str]:
    target = str(config.optimizer.get("_target_", ""))
    quasi_newton = target.endswith("LBFGS") or (not target and bool(config.fields or config.priors))
    if not quasi_newton and target and not target.endswith("GaussNewton"):
        return
    name = "L-BFGS" if quasi_newton else "Gauss-Newton"
    if config.trainer.gradient_clip_val is not None:
        yield (
            f"{name} and gradient clipping: it chooses its own step lengths, from whole gradients; set "
            "trainer.gradient_clip_val=null or optimizer=adam."
        )
    if config.trainer.accumulate_grad_batches != 1:
        yield (
            f"{name} and accumulated gradients: each evaluation would use only some of the scenes; set "
            "trainer.accumulate_grad_batches=1 or optimizer=adam."
        )
    if quasi_newton and num_processes(config) > 1:
        yield (
            "L-BFGS in several processes: each would search along a line of its own; set trainer.devices=1 "
            "or optimizer=adam."
        )
    if config.scheduler:
        yield f"{name} chooses its own step lengths; set scheduler=none or optimizer=adam."


def num_processes(config: DictConfig) -> int:
    """Return how many processes share the scenes."""
    devices = config.trainer.devices
    if OmegaConf.is_list(devices):
        devices = len(devices)
    if not isinstance(devices, int) or devices < 1:
        raise ConfigError(f"trainer.devices must be a number or a list of devices, got {devices!r}.")
    return devices * int(config.trainer.get("num_nodes", 1))


def _processes(config: DictConfig, multirun: bool) -> Iterator[str]:
    if multirun and num_processes(config) > 1 and config.trainer.strategy in ("ddp", "auto"):
        yield (
            "a multirun whose runs start processes would start the whole multirun again in each of them; set "
            "trainer.strategy=ddp_spawn, or start the runs one by one."
        )


def _data(config: DictConfig) -> Iterator[str]:
    data = config.data
    if config.takes and num_processes(config) > 1:
        yield "takes are observed of one simulation, in one process: set trainer.devices=1."
    for number, take in enumerate(config.takes):
        if "data" not in take or set(take) - {"data", "release_time"}:
            yield f"takes[{number}] must have data, and may have release_time, got {list(take)}."
    takes = [f"takes.{number}.data.path" for number in range(len(config.takes))]
    for key in ("mesh.path", "coarse.mesh.path", "data.path", "holdout.data.path", *takes):
        path = OmegaConf.select(config, key)
        if path is not None and not Path(path).is_file():
            yield f"{key}: {path} does not exist (looked from {Path.cwd()}).{_origin(config, str(path))}"
    if data.path is not None and (data.twin != "same" or data.noise or data.missing):
        yield "data.twin, data.noise and data.missing only apply to a twin; leave them out, or data.path."


def _coarse(config: DictConfig) -> Iterator[str]:
    if not OmegaConf.is_dict(config.coarse) or set(config.coarse) - {"mesh", "step", "order"}:
        yield f"coarse must be {{mesh: ..., step: ..., order: ...}}, got {config.coarse!r}."
        return
    for part, example in (("mesh", "{cells: [6, 2, 2]}"), ("step", "{dt: 1e-2}")):
        own, keys = config.coarse.get(part), [key for key in COARSER[part] if key in config[part]]
        if own is None:
            continue
        if not OmegaConf.is_dict(own):
            yield f"coarse.{part} must be keys of {part} that differ, such as {example}, got {own!r}."
        elif unknown := [key for key in own if key not in keys]:
            yield f"coarse.{part}.{unknown[0]} cannot be coarser; what can is {', '.join(keys)}."
    order = config.coarse.get("order")
    if not isinstance(order, int | float) or not 0 < order < math.inf:
        yield f"coarse.order must be a positive number, the order of the error of the mesh, got {order!r}."


def _origin(config: DictConfig, path: str) -> str:
    """Return where a file that an experiment names itself is described."""
    experiment = config_folder() / "experiment" / f"{config.name}.yaml"
    named = experiment.is_file() and path in experiment.read_text(encoding="utf-8")
    return f" The first lines of {experiment} say where to get it." if named else ""

"""Combinations that can not work, named before anything is built."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from simlayer.errors import ConfigError


def check_config(config: DictConfig, *, multirun: bool) -> None:
    """Raise ConfigError with everything that is wrong with a composed configuration."""
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise ConfigError(f"{missing[0]} has no value yet; give it: {missing[0]}=...")
    complaints = [*_values(config), *_optimizer(config), *_processes(config, multirun), *_data(config)]
    if complaints:
        raise ConfigError("\n".join(complaints))


def _values(config: DictConfig) -> Iterator[str]:
    if config.dtype not in ("float32", "float64"):
        raise ConfigError(f"dtype must be float32 or float64, got {config.dtype!r}.")
    for key in ("threads", "trainer.max_epochs"):
        value = OmegaConf.select(config, key)
        if not isinstance(value, int) or value < 1:
            yield f"{key} must be a whole number of at least 1, got {value!r}."
    for key in ("duration", "step.dt"):
        value = OmegaConf.select(config, key)
        if value not in (None, "auto") and not (isinstance(value, int | float) and value > 0):
            yield f"{key} must be a positive number of seconds, got {value!r}."
    if not config.trainable or isinstance(config.trainable, str):
        yield (
            "trainable must be a list of names, such as trainable=[forces.elastic.material.youngs_modulus], "
            f"got {config.trainable!r}."
        )
    if set(str(config.run_name)) & set("=\\"):
        yield f"run_name must be free of = and \\, which break later overrides, got {config.run_name!r}."
    if config.trainer.get("precision") is not None:
        yield "trainer.precision does not reach the simulation; use dtype=float32 or dtype=float64."


def _optimizer(config: DictConfig) -> Iterator[str]:
    trainer = config.trainer
    if not str(config.optimizer.get("_target_")).endswith("LBFGS"):
        return
    if trainer.gradient_clip_val is not None:
        yield (
            "L-BFGS and gradient clipping: clipped gradients mislead the line search; set "
            "trainer.gradient_clip_val=null or optimizer=adam."
        )
    if trainer.accumulate_grad_batches != 1:
        yield (
            "L-BFGS and accumulated gradients: each evaluation would see one part of the scenes; set "
            "trainer.accumulate_grad_batches=1 or optimizer=adam."
        )
    if _several(config):
        yield (
            "L-BFGS in several processes: each would search along a line of its own; set trainer.devices=1 "
            "or optimizer=adam."
        )
    if config.scheduler:
        yield "L-BFGS chooses its own step lengths; set scheduler=none or optimizer=adam."


def num_processes(config: DictConfig) -> int:
    """How many processes share the scenes."""
    devices = config.trainer.devices
    if OmegaConf.is_list(devices):
        devices = len(devices)
    if not isinstance(devices, int) or devices < 1:
        raise ConfigError(f"trainer.devices must be a number or a list of devices, got {devices!r}.")
    return devices * int(config.trainer.get("num_nodes", 1))


def _several(config: DictConfig) -> bool:
    return num_processes(config) > 1


def _processes(config: DictConfig, multirun: bool) -> Iterator[str]:
    if multirun and _several(config) and config.trainer.strategy in ("ddp", "auto"):
        yield (
            "a multirun whose runs start processes again would start the whole multirun in each; set "
            "trainer.strategy=ddp_spawn, or run them one by one."
        )


def _data(config: DictConfig) -> Iterator[str]:
    data = config.data
    other = OmegaConf.select(config, "unseen.data.path")
    paths = {"mesh.path": config.mesh.get("path"), "data.path": data.path, "unseen.data.path": other}
    for key, path in paths.items():
        if path is not None and not Path(path).is_file():
            hint = config.hints.get(key)
            yield f"{key}: {path} does not exist (looked from {Path.cwd()})." + (f" {hint}" if hint else "")
    if data.path is not None and (data.twin != "same" or data.noise or data.missing):
        yield "data.twin, data.noise and data.missing are for twins; leave them out, or data.path."

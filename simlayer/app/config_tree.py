"""Trees of configuration: where they lie, their keys, and the objects that they describe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from simlayer.errors import ConfigError, hint

_PACKAGE = Path(__file__).parents[1]


def config_folder() -> Path:
    """Return the folder of configurations: that of the checkout, or the installed one."""
    checkout = _PACKAGE.parent / "configs"
    return checkout if (checkout / "train.yaml").is_file() else _PACKAGE / "configs"


def read_option(group: str, name: str, *, key: str) -> DictConfig:
    """Return the configuration of a group's option, a file in `config_folder` or in that of `--config-dir`.

    Raises:
        ConfigError: naming `key`, if there is none of this name.
    """
    sources = HydraConfig.get().runtime.config_sources if HydraConfig.initialized() else ()
    own = [Path(source.path) for source in sources if source.schema == "file"]
    folders = [folder / group for folder in dict.fromkeys([config_folder(), *own])]
    paths = {path.stem: path for folder in reversed(folders) for path in folder.glob("*.yaml")}
    if name not in paths:
        raise ConfigError(f"{key}: {group} has no option {name!r}; {hint(str(name), sorted(paths))}")
    found = OmegaConf.load(paths[name])
    assert isinstance(found, DictConfig)
    return found


def build(node: Any) -> Any:
    """Return what a configuration node describes, as plain Python objects."""
    return instantiate(node, _convert_="all") if node is not None else {}


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a nested mapping by dotted names, without those that are None."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{rest}": leaf for rest, leaf in flatten(value).items()}
        elif value is not None:
            flat[str(key)] = value
    return flat


def dotted_keys(config: DictConfig) -> list[str]:
    """Return the dotted key of every node, without following interpolations."""

    def visit(tree: Mapping[Any, Any], path: str) -> Iterator[str]:
        for key, value in tree.items():
            yield f"{path}{key}"
            if isinstance(value, Mapping):
                yield from visit(value, f"{path}{key}.")

    container = OmegaConf.to_container(config)
    assert isinstance(container, dict)
    return list(visit(container, ""))

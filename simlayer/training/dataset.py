"""Scenes for a trainer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.utils.data import DataLoader, Dataset

from simlayer.training.identification import Scenes


class SceneDataset(Dataset[Scenes]):
    """Single scenes of a batch."""

    def __init__(self, scenes: Scenes) -> None:
        self.scenes = scenes

    def __len__(self) -> int:
        return len(self.scenes.positions)

    def __getitem__(self, index: int) -> Scenes:
        return Scenes(*(part[index] for part in self.scenes))


def scene_loader(scenes: Scenes, *, batch_size: int | None = None) -> DataLoader[Scenes]:
    """A loader of all scenes at once, or of batches; processes share them."""
    dataset = SceneDataset(scenes)
    return DataLoader(dataset, batch_size=batch_size or len(dataset), collate_fn=_collated)


def _collated(scenes: Sequence[Scenes]) -> Scenes:
    return Scenes(*(torch.stack(parts) for parts in zip(*scenes, strict=True)))

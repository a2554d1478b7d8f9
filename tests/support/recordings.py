"""Recordings to test with: a body at rest that is let go, and the same as files."""

import csv

import numpy as np
import torch

from simlayer.motion_capture.recording import Recording

REFERENCE = torch.tensor(
    [[0, 0.015, 0.036], [0, -0.006, 0.024], [0, 0.036, 0.006], [-0.094, -0.01, 0], [-0.094, 0.04, 0.0275]]
)

# Where the markers are attached to the beam [m].
POINTS = {"marker0": [-0.03, 0.015, 0.03], "marker1": [-0.03, 0.0, 0.02], "marker2": [-0.03, 0.03, 0.01]}


def swinging(frames=40, *, held=10, rate=100.0):
    """Markers at their reference positions while held, then the first three swing by 5 mm."""
    times = torch.arange(frames, dtype=torch.float64) / rate
    motion = 0.005 * (1 - torch.cos(50 * (times - times[held]).clamp(min=0)))
    directions = torch.tensor([[0.1, 0.0, -1.0], [0.0, 0.1, -1.0], [0.0, 0.0, -1.0], [0, 0, 0], [0, 0, 0]])
    return Recording(times, REFERENCE + motion[:, None, None] * directions)


def gappy():
    """The same with three gaps, of the markers b and c."""
    recording = swinging()
    for frame, marker in ((4, 1), (7, 2), (8, 2)):
        recording.markers[frame, marker] = torch.nan
    return Recording(recording.times, recording.markers, ("a", "b", "c", "d", "e"))


def write_csv(path, recording, *, title="{name}_{axis}_m", time="time_s", scale=1.0, missing=""):
    """The recording in the format of one header and one line a frame."""
    axes = [title.format(name=name, axis=axis) for name in recording.names for axis in "xyz"]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(([time] if time else []) + axes)
        for t, markers in zip(recording.times.tolist(), recording.markers.flatten(1).tolist(), strict=True):
            cells = [missing if np.isnan(x) else repr(x * scale) for x in markers]
            writer.writerow(([repr(t)] if time else []) + cells)
    return path


def write_c3d(path, recording, *, unit="mm", scale=1e3):
    """The recording as C3D, by the package c3d, which must be there."""
    import c3d

    writer = c3d.Writer(point_rate=float((1 / recording.times.diff().mean()).round()), point_units=unit)
    writer.set_point_labels(list(recording.names))
    for markers in recording.markers.numpy():
        points = np.zeros((len(markers), 5), np.float32)
        points[:, :3] = np.nan_to_num(scale * markers)
        points[:, 3] = np.where(np.isnan(markers).any(1), -1, 0)
        writer.add_frames([(points, np.zeros((0, 0)))])
    with path.open("wb") as file:
        writer.write(file)
    return path

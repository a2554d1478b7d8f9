"""Markers on a silicone beam, brought from the cameras' frame to that of a simulation.

The beam is that of srl-ethz/diffPD_sim2real (Soft Robotics Lab, ETH Zürich, MIT licence), clamped at one end
and released from its straight shape: six markers, recorded at 100 Hz in beam_gravity_V2_a.c3d and _b.c3d.
Without a file, it registers a synthetic recording of the same markers.

Run it by: python examples/register_recording.py [FILE ...] [--held FIRST LAST]
"""

import argparse
import csv
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from simlayer import ObservationError
from simlayer.motion_capture.reading import read_recording
from simlayer.motion_capture.registration import register

# [m]; the body is x in [-0.1, 0], y and z in [0, 0.03]. Three on stand-offs at the tip, three at the clamp.
REFERENCE = torch.tensor(
    [
        [0.0, 0.015, 0.036],
        [0.0, -0.006, 0.024],
        [0.0, 0.036, 0.006],
        [-0.094, -0.01, -0.001],
        [-0.094, 0.04, 0.0275],
        [-0.094, 0.04, 0.0],
    ]
)
RELEASE = 65  # frames


def main(arguments: Sequence[str] | None = None) -> list[tuple[float, float]]:
    """Return the rms of the residuals and the stillness of every take [m]."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", nargs="*", type=Path, help="recordings of the beam (.csv, .c3d)")
    held_help = "first frame in which the beam is held still, and the first frame after (default: 54 64)"
    parser.add_argument(
        "--held", nargs=2, type=int, default=(54, 64), metavar=("FIRST", "LAST"), help=held_help
    )
    options = parser.parse_args(arguments)
    first, last = options.held
    try:
        if options.path:
            return [report(path, (first, last)) for path in options.path]
        with tempfile.TemporaryDirectory() as folder:
            return [report(write_synthetic(Path(folder) / "synthetic.csv"), (first, last))]
    except ObservationError as error:
        raise SystemExit(f"register_recording.py: error: {error}") from error


def report(path: Path, held: tuple[int, int]) -> tuple[float, float]:
    """Print and return the quality of a registration: rms of the residuals and stillness [m]."""
    recording = read_recording(path)
    registration = register(recording, REFERENCE, held=held)
    moved = registration.in_frame(recording).markers - REFERENCE
    sag = -moved[-10:, :3, 2].nanmean().item()
    print(
        f"{path.name}: {1e3 * registration.rms:.2f} mm rms between {len(REFERENCE)} markers and "
        f"their reference, held still to {1e3 * registration.stillness:.3f} mm; at the end the tip hangs "
        f"{1e3 * sag:.2f} mm lower"
    )
    return registration.rms, registration.stillness


def write_synthetic(path: Path, frames: int = 200) -> Path:
    """Write a beam that swings by 6 mm once released, in a tilted frame, with noise of 0.1 mm and gaps."""
    generator = torch.Generator().manual_seed(0)
    times = 0.01 * torch.arange(frames)
    since = (times - 0.01 * RELEASE).clamp(min=0)
    sag = -0.006 * (1 - torch.exp(-3 * since) * torch.cos(2 * math.pi * 7.7 * since))
    markers = REFERENCE.repeat(frames, 1, 1)
    markers[:, :3, 2] += sag[:, None]
    turn = torch.linalg.matrix_exp(torch.tensor([[0.0, -1.0, 0.5], [1.0, 0.0, 2.0], [-0.5, -2.0, 0.0]]))
    markers = markers @ turn.T + torch.tensor([0.07, 0.03, 0.07])
    markers += 1e-4 * torch.randn(markers.shape, generator=generator)
    markers[torch.rand(frames, len(REFERENCE), generator=generator) < 0.02] = torch.nan
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time_s", *(f"marker{k}_{axis}_m" for k in range(len(REFERENCE)) for axis in "xyz")])
        for time, row in zip(times.tolist(), markers.flatten(1).tolist(), strict=True):
            writer.writerow([f"{time:.2f}", *("" if math.isnan(x) else f"{x:.6f}" for x in row)])
    return path


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()

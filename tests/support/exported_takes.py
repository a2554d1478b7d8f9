"""Recordings as text in the formats of motion-capture systems, with what these write beside markers."""

import numpy as np


def rows(recording, *, scale=1e3, missing="", digits=6):
    """The coordinates of every frame as cells, marker after marker."""
    frames = scale * recording.markers.double().flatten(1)
    return [[missing if np.isnan(x) else f"{x:.{digits}f}" for x in frame] for frame in frames.tolist()]


def joined(lines, delimiter):
    return "".join(delimiter.join(map(str, cells)) + "\n" for cells in lines)


def three(names, *, blank=""):
    """Names, each over its first of three columns."""
    return [cell for name in names for cell in (name, blank, blank)]


def motive(recording, *, delimiter=",", rotation="Quaternion", unit="Meters", scale=1.0):
    """Motive's export of a rigid body with its expected markers, and of the markers that were measured."""
    names = recording.names
    angles = "XYZW" if rotation == "Quaternion" else "XYZ"
    body, expected = len(angles) + 4, names[:2]  # Rotation, position and error.
    properties = {
        "Format Version": "1.23", "Take Name": "take", "Take Notes": "", "Capture Frame Rate": "100.000000",
        "Export Frame Rate": "100.000000", "Capture Start Time": "2024-05-02 10.11.12.000 AM",
        "Total Frames in Take": len(recording.times), "Rotation Type": rotation, "Length Units": unit,
        "Coordinate Space": "Global",
    }  # fmt: skip
    types = ["Rigid Body"] * body + ["Rigid Body Marker"] * 4 * len(expected) + ["Marker"] * 3 * len(names)
    titles = ["Rod"] * body + [name for name in expected for _ in range(4)]
    titles += [name for name in names for _ in "XYZ"]
    kinds = ["Rotation"] * len(angles) + ["Position"] * 3 + ["Error Per Marker"]
    kinds += (["Position"] * 3 + ["Marker Quality"]) * len(expected) + ["Position"] * 3 * len(names)
    axes = [*angles, *"XYZ", "", *(["X", "Y", "Z", ""] * len(expected)), *("XYZ" * len(names))]
    lines = [
        [cell for pair in properties.items() for cell in pair],
        [],
        ["", "Type", *types],
        ["", "Name", *titles],
        ["", "ID", *["0123"] * len(types)],
        ["", "", *kinds],
        ["Frame", "Time (Seconds)", *axes],
    ]
    for k, cells in enumerate(rows(recording, scale=scale)):
        lines.append([k, f"{recording.times[k]:.6f}", *["0.9"] * (body + 4 * len(expected)), *cells])
    return joined(lines, delimiter)


def qualisys(recording, *, leading=("Frame", "Time"), titled=True, missing="0.000", tail="", **header):
    """The TSV of Qualisys Track Manager, with as much before the markers as is wanted."""
    names = recording.names
    properties = {
        "NO_OF_FRAMES": len(recording.times), "NO_OF_CAMERAS": 8, "NO_OF_MARKERS": len(names),
        "FREQUENCY": 100, "NO_OF_ANALOG": 0, "ANALOG_FREQUENCY": 0, "DESCRIPTION": "--",
        "TIME_STAMP": '2024-05-02, 10:11:12.000\t"90210.5"', "DATA_INCLUDED": "3D",
        "EVENT": "released\t11\t0.10000", "MARKER_NAMES": "\t".join(names),
        "TRAJECTORY_TYPES": "\t".join(["Measured"] * len(names)),
    }  # fmt: skip
    properties = {key: value for key, value in (properties | header).items() if value is not None}
    lines = [[key, value] for key, value in properties.items()]
    if titled:
        lines.append([*leading, *(f"{name} {axis}" for name in names for axis in "XYZ")])
    for k, cells in enumerate(rows(recording, missing=missing)):
        own = {"Frame": str(k + 1), "Time": f"{recording.times[k]:.5f}"}
        lines.append([*(own[title] for title in leading), *cells])
    return "".join("\t".join(map(str, cells)) + tail + "\n" for cells in lines)


def vicon(recording, *, delimiter=",", velocities=False, unit="mm"):
    """Nexus's export of a force plate and of trajectories."""
    names = [f"Beam:{name}" for name in recording.names]
    per = ["X", "Y", "Z", *(["X'", "Y'", "Z'"] if velocities else [])]
    units = [unit] * 3 + ([f"{unit}/s"] * 3 if velocities else [])
    lines = [
        ["Devices"],
        [1000],
        ["", "", "Plate - Force", "", ""],
        ["Frame", "Sub Frame", "Fx", "Fy", "Fz"],
        ["", "", "N", "N", "N"],
        *[[5 + k // 10, k % 10, 0.1, 0.2, 0.3] for k in range(10 * len(recording.times))],
        [],
        ["Trajectories"],
        [100],
        ["", "", *(cell for name in names for cell in [name] + [""] * (len(per) - 1))],
        ["Frame", "Sub Frame", *per * len(names)],
        ["", "", *units * len(names)],
    ]
    for k, cells in enumerate(rows(recording)):
        groups = [cells[3 * i : 3 * i + 3] + ["1.5"] * (len(per) - 3) for i in range(len(names))]
        lines.append([5 + k, 0, *(cell for group in groups for cell in group)])
    lines += [
        [],
        ["Model Outputs"],
        [100],
        ["", "", "Beam:Angle"],
        ["Frame", "Sub Frame", "X", "Y", "Z"],
        ["", "", "deg"],
        [5, 0, 1, 2, 3],
    ]
    return joined(lines, delimiter)


def trc(recording, *, missing="", tail=True, blank=True, **header):
    """A TRC file, with the tabs at the end of a line and the blank line that some programs write."""
    names, count = recording.names, len(recording.times)
    properties = {
        "DataRate": "100.00", "CameraRate": "100.00", "NumFrames": count, "NumMarkers": len(names),
        "Units": "mm", "OrigDataRate": "100.00", "OrigDataStartFrame": 1, "OrigNumFrames": count,
    }  # fmt: skip
    properties |= header
    lines = [
        ["PathFileType", 4, "(X/Y/Z)", "take.trc"],
        list(properties),
        list(properties.values()),
        ["Frame#", "Time", *three(names)],
        ["", "", *(f"{axis}{k + 1}" for k in range(len(names)) for axis in "XYZ")],
        *([[""]] if blank else []),
    ]
    for k, cells in enumerate(rows(recording, missing=missing)):
        lines.append([k + 1, f"{recording.times[k]:.5f}", *cells, *([""] if tail else [])])
    return joined(lines, "\t")

"""How pictures look: without changes to Matplotlib, readable in any colours, with legends that fit."""

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simlayer.plotting.style import ERROR, FIELD, LINES, STYLE, add_legend, styled

# What a protanope, a deuteranope and a tritanope see of linear RGB: Machado, Oliveira, Fernandes 2009, "A
# physiologically-based model for simulation of color vision deficiency", table 1, severity 1.
_SEEN = (
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
)
# The least difference of two colours that are told apart at a glance, in CIELAB (1 is just noticeable).
_GLANCE = 10.0


def lab(rgb, seen=None):
    """Colours in CIELAB, as somebody sees them."""
    rgb = np.asarray(rgb)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = linear if seen is None else (linear @ np.array(seen).T).clip(0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ to_xyz.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


@pytest.mark.parametrize("name", [FIELD, ERROR])
def test_the_lightness_of_a_colour_map_runs_one_way(name):
    colors = matplotlib.colormaps[name](np.linspace(0, 1, 64))[:, :3]
    for seen in (None, *_SEEN):
        steps = np.diff(lab(colors, seen)[:, 0])
        # Rounded to 256 levels, neighbours may be equal.
        assert (steps * np.sign(steps.sum()) > -0.3).all()


@pytest.mark.parametrize("seen", [None, *_SEEN])
def test_x_y_and_z_and_the_lines_of_energies_are_told_apart_by_everybody(seen):
    colors = lab([to_rgb(line) for line in LINES[:5]], seen)
    distances = np.linalg.norm(colors[:, None] - colors, axis=-1)
    assert distances[~np.eye(5, dtype=bool)].min() > _GLANCE


def test_no_font_is_smaller_than_eight_points():
    assert all(size >= 8 for key, size in STYLE.items() if key.endswith("size") and "marker" not in key)


def test_a_styled_function_leaves_the_settings_as_they_were_even_if_it_fails():
    before = dict(matplotlib.rcParams)

    @styled
    def fail():
        assert matplotlib.rcParams["font.size"] == STYLE["font.size"]
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        fail()
    assert dict(matplotlib.rcParams) == before


def test_pictures_do_not_import_pyplot():
    code = "import sys; from simlayer import plotting; print('matplotlib.pyplot' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


@pytest.mark.parametrize("count", [1, 6, 20])
@pytest.mark.parametrize("width", [3.0, 8.0])
def test_a_legend_is_inside_of_its_figure(count, width):
    figure = Figure(figsize=(width, 6), layout="constrained")
    figure.subplots().plot([0, 1])
    legend = add_legend(figure, [Line2D([], [])] * count, [f"first guess {k}" for k in range(count)])
    figure.draw_without_rendering()
    box, canvas = legend.get_window_extent(), figure.bbox
    assert box.x0 >= 0
    assert box.x1 <= canvas.x1
    assert box.y0 >= 0
    assert box.y1 <= canvas.y1

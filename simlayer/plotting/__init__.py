"""Pictures of bodies and fields, motions, paths, curves and fits, as Matplotlib figures.

    from simlayer import plotting

    figure = plotting.body_picture(mesh, positions, field=stress, name="stress", unit="Pa", fixed="clamped")
    figure.savefig("stress.png", dpi=150)

A function whose name ends in `picture` returns a figure; those that begin with `draw` draw on given axes. All
take tensors of any precision and device, with a graph or without; NaN says that a number is missing. The
settings of Matplotlib stay as they are, and `pyplot` is not needed.
"""

from simlayer.plotting.body import body_picture, draw_body
from simlayer.plotting.comparison import field_picture
from simlayer.plotting.convergence import convergence_picture
from simlayer.plotting.curves import curve_picture, draw_fitted, draw_measured, law_curves_picture
from simlayer.plotting.displacements import displacement_picture
from simlayer.plotting.learned import prediction_picture, reach_picture, travel_picture
from simlayer.plotting.markers import marker_picture
from simlayer.plotting.motion import motion_picture
from simlayer.plotting.series import series_picture
from simlayer.plotting.style import STYLE, styled
from simlayer.plotting.target import target_picture
from simlayer.plotting.traces import trace_picture
from simlayer.plotting.uncertainty import uncertainty_picture
from simlayer.plotting.view import View, angle_view, body_view

__all__ = [
    "STYLE",
    "View",
    "angle_view",
    "body_picture",
    "body_view",
    "convergence_picture",
    "curve_picture",
    "displacement_picture",
    "draw_body",
    "draw_fitted",
    "draw_measured",
    "field_picture",
    "law_curves_picture",
    "marker_picture",
    "motion_picture",
    "prediction_picture",
    "reach_picture",
    "series_picture",
    "styled",
    "target_picture",
    "trace_picture",
    "travel_picture",
    "uncertainty_picture",
]

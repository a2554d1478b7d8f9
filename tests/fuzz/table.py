"""All public names: the calls of each, or why there is none."""

from fuzz import (
    table_amortized,
    table_basics,
    table_bodies,
    table_fits,
    table_identification,
    table_interchange,
    table_laboratory,
    table_learning,
    table_plotting,
    table_points,
    table_readouts,
    table_steps,
    table_viewer,
)
from fuzz.calls import Call

TABLES = (
    table_basics,
    table_bodies,
    table_steps,
    table_fits,
    table_identification,
    table_learning,
    table_amortized,
    table_readouts,
    table_laboratory,
    table_points,
    table_viewer,
    table_interchange,
    table_plotting,
)
CALLS: dict[str, Call] = {call.name: call for table in TABLES for call in table.CALLS}

_ERROR = "raised, and not made by a user"
_HOLDER = "a tuple that holds what others compute; what it is given to looks into it"
_TRACER = "a tool of the package's own classes, given functions that these write"
WITHOUT_A_CALL = {
    **dict.fromkeys(
        [
            "ContactWarning", "ConvergenceError", "DivergenceError", "MeshError", "MotionError",
            "ObservationError", "PenetrationError", "SimulationError", "UnstableStepError",
        ],
        _ERROR,
    ),
    **dict.fromkeys(
        [
            "AlignedScan", "Body", "BodyMotion", "ComparedLaw", "Comparison", "ContactState", "ElementType",
            "GradientCheck",
            "GradientNorms", "GradientReport", "Identified", "IdentifiedSpecimens", "LabelImage",
            "MaterialCheck",
            "MaterialReport", "Matrix3", "PointResponse", "PredictedSpecimens", "Prediction",
            "QuadratureRule", "ResidualRuns", "ShapeFunctions", "StepContext", "SurfaceMotion",
        ],
        _HOLDER,
    ),
    **dict.fromkeys(["ForceReference", "ImplicitFunction", "PointwiseEnergy", "extended", "trace"], _TRACER),
    **dict.fromkeys(
        ["element_of", "polar_rotation", "rotation_matrix", "rotation_vector", "stretch_trace"],
        "mathematics inside of a step, where nothing is looked at",
    ),
    **dict.fromkeys(
        [
            "CellPotential", "Contact", "ContactForce", "GripMotion", "HistoryDependent", "InelasticForce",
            "IsotropicMaterial", "LinearSolver", "SpecimenTest", "Term",
        ],
        "an interface",
    ),
    **dict.fromkeys(["Policy", "RecurrentPolicy", "RestShaped"], "an interface"),
    **dict.fromkeys(["ContactLoad", "Energies", "EnergyBalance", "IdentifiedTests", "Wrench"], _HOLDER),
    **dict.fromkeys(["DisplacementField", "LoadCurve"], _HOLDER),
    "ELEMENT_TYPES": "data",
    "STYLE": "data",
    "View": "made by body_view and angle_view",
    "styled": "a decorator",
    "cavity_volume": "needs a hollow body; what it is given goes to CavityPressure's checks",
    "readouts": "a module",
    "from_pyvista": "needs PyVista; the frames go to the checks of from_arrays",
    "to_pyvista": "needs PyVista; what it is given goes to the checks of to_arrays",
    "view": "opens a browser; what it is given goes to write_html",
    "von_mises": "mathematics of any tensors",
    "LearningCurve": "records what a module has logged",
    "ObservedScenes": "its parts are given to scene_loader",
    "Registration": "made by register",
    "RolloutEnvironment": "an environment of Gymnasium, whose own tests try what does not fit",
    "State": "its parts are given to RolloutModule.forward",
    "Step": "an interface; its arguments are those of SymplecticEuler",
    "derived_quantity": "a decorator",
}  # fmt: skip

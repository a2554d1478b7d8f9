"""The interface of steps: forces, masses and constraints of a body, and a map from state to state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.contact.base import Contact
from simlayer.dissipation import Dissipation, StepContext
from simlayer.fem.finite_elements import FiniteElements
from simlayer.forces.base import Force
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.one_mesh import check_one_mesh
from simlayer.mesh.selection import fixed_components
from simlayer.quantities.arguments import checked_choice, checked_integer, checked_number, checked_parts
from simlayer.quantities.checked_module import Option
from simlayer.quantities.named import NamedTensors
from simlayer.quantities.objects import checked_instance
from simlayer.quantities.physical_module import PhysicalModule
from simlayer.quantities.quantity import Quantity, derived_quantity, derived_vectors
from simlayer.quantities.returned import check_vectors
from simlayer.state import State
from simlayer.steps.internal_variables import advanced, remembering
from simlayer.steps.plausibility import warn_of_hourglass_modes, warn_of_units
from simlayer.steps.point_mass import PointMass
from simlayer.steps.rest_shape import ComparedRestPositions, fill_in, in_own_rest_shape
from simlayer.steps.stability import half_stable_dt, stable_dts
from simlayer.steps.state_checks import check_precision, check_state


class Step(PhysicalModule, ABC):
    """A map from one state to the next, dt later; owns the forces, the masses and the constraints.

    Its quantity `rest_positions`, `(N, 3)` or `(*batch, N, 3)` [m], begins as the vertices of the mesh. Where
    a rollout is given others, or they are assigned or trained, shape functions, volumes, masses, loads and
    contact areas follow from them, differentiably, with the rules of quadrature that were chosen for the
    mesh: one whose edges are straight has them for straight ones. Positions are another thing: a body at
    rest there starts from `State.at_rest(rest_positions)`. Forces that are called by themselves, not by a
    step or a rollout, have the rest shape of their mesh.

    Args:
        mesh: the body in its rest shape.
        forces: forces by name; the names appear in those of parameters.
        dt: duration of a step [s]; "auto": half of what is stable from the rest shape for an explicit step,
            with contacts as far pressed as they are meant to be, which leaves room for a body that gets four
            times as stiff.
        density: [kg/m³]: one value, or one per cell.
        masses: masses attached to the body, by name.
        gravity: acceleration [m/s²]; what differs between vertices is added as `vertex_gravity`.
        fixed: the name of a vertex set, a mask or indices of vertices `(N,)`, or a mask of components
            `(N, 3)`.
        prescribed_velocities: velocities of the fixed components [m/s], `(N, 3)` or `(1, 3)`.
        dissipation: dissipations by name, applied in this order after the forces.
        substeps: how many equal steps of dt/substeps make one.

    Raises:
        ValueError: if a value does not fit, or a part was made for another mesh.
    """

    derives_from = ("masses",)
    # Whether a step is one fixed sequence of operators, to be compiled as a whole and run again at will.
    explicit = True
    # The power of dt that the error of a smooth motion is proportional to.
    order: ClassVar[int] = 1
    # Whether its kinetic energy is that of the velocities inside cells, and not of lumped masses.
    consistent_mass: bool = False
    # How many tensors of history it keeps itself; None: not known, and not checked.
    history_size: ClassVar[int | None] = None
    density = Quantity("kg/m³", over="cells", positive=True)
    gravity = Quantity("m/s²", over="components")
    vertex_gravity = Quantity("m/s²", over="vertex vectors")
    prescribed_velocities = Quantity("m/s", over="vertex vectors")
    rest_positions = Quantity("m", over="vertex vectors")
    # So that dt² and 1 / dt² are in the range of single precision.
    dt = Option(checked_number, above=0.0, least=1e-18, most=1e18, unit="s")
    substeps = Option(checked_integer, least=1)
    free: Tensor

    def __init__(
        self,
        mesh: Mesh,
        forces: Mapping[str, Force],
        *,
        dt: float | Literal["auto"],
        density: float | Tensor = 1000.0,
        masses: Mapping[str, PointMass] | None = None,
        gravity: Sequence[float] | Tensor = (0.0, 0.0, 0.0),
        fixed: Tensor | str | None = None,
        prescribed_velocities: Tensor | None = None,
        dissipation: Mapping[str, Dissipation] | None = None,
        substeps: int = 1,
    ) -> None:
        super().__init__()
        self.substeps = substeps
        if isinstance(dt, str):
            checked_choice("dt", dt, ("auto",))
        else:
            self.dt = dt
        checked_instance("mesh", mesh, Mesh, example="that of box_mesh()")
        forces = checked_parts("forces", forces, Force, "ElasticForce")
        dissipation = checked_parts(
            "dissipation", {} if dissipation is None else dissipation, Dissipation, "MassDamping"
        )
        masses = checked_parts("masses", {} if masses is None else masses, PointMass, "PointMass")
        self.forces, self.dissipation = nn.ModuleDict(forces), nn.ModuleDict(dissipation)
        self.masses = nn.ModuleDict(masses)
        check_one_mesh(self, mesh)
        parts: list[Force | Dissipation] = [*forces.values(), *dissipation.values()]
        for part in parts:
            part.connect(self.forces)
        self.elements = FiniteElements(mesh)
        self.density, self.gravity, self.vertex_gravity = density, gravity, torch.zeros(1, 3)
        self.prescribed_velocities = (
            torch.zeros(1, 3) if prescribed_velocities is None else prescribed_velocities
        )
        self.rest_positions, self.compared_rest_positions = mesh.vertices, ComparedRestPositions()
        self.register_load_state_dict_pre_hook(fill_in)
        check_precision(NamedTensors(self), mesh.vertices.dtype)
        for module in self.modules():
            if isinstance(module, PhysicalModule):
                module.set_extents(cells=len(mesh.cells), vertices=len(mesh.vertices))
        warn_of_units(mesh, forces, self.density)
        # Components first in memory, like everything that a compiled step reads.
        free = ~fixed_components(mesh, fixed)
        self.register_buffer("free", free.T.contiguous().to(mesh.vertices.dtype).T, persistent=False)
        warn_of_hourglass_modes(forces, self.free)
        if dt == "auto":
            with torch.no_grad():
                self.dt = half_stable_dt(float(self.stable_dts(contact=self.contact_squares()).min()))

    @property
    def h(self) -> float:
        """The duration of a substep [s]."""
        return self.dt / self.substeps

    @property
    def num_vertices(self) -> int:
        return self.free.shape[0]

    @derived_quantity
    def vertex_masses(self) -> Float[Tensor, "*batch N"]:
        """The lumped mass of each vertex [kg], with the masses attached to the body."""
        return self._body_masses() + self.attached_masses()

    @derived_quantity
    def inverse_masses(self) -> Float[Tensor, "*batch N"]:
        """The reciprocal mass of each vertex [1/kg]."""
        return self.vertex_masses.reciprocal()

    @in_own_rest_shape
    def _body_masses(self) -> Float[Tensor, "*batch N"]:
        return self.elements.vertex_masses(self.density)

    def attached_masses(self) -> Float[Tensor, "*batch #N"]:
        """Return the mass attached to the body at each vertex [kg]."""
        return sum((mass() for mass in self.masses.values()), self.free.new_zeros(1))

    @property
    def mobility(self) -> Float[Tensor, "*batch N"]:
        """The reciprocal mass of each vertex [1/kg], zero where all of its components are fixed."""
        return self.inverse_masses * self.free.amax(-1)

    @derived_vectors
    def gravity_field(self) -> Float[Tensor, "*batch #N 3"]:
        """The acceleration by gravity at each vertex, or at every one [m/s²]."""
        return self.gravity[..., None, :] + self.vertex_gravity

    @derived_vectors
    def fixed_velocities(self) -> Float[Tensor, "*batch N 3"]:
        """The prescribed velocities of the fixed components [m/s], zero for the others."""
        return (1 - self.free) * self.prescribed_velocities

    def context(self, dt: float) -> StepContext:
        """Return the context of dissipations that act for dt [s]."""
        return StepContext(dt, self.inverse_masses)

    def nodal_forces(
        self, state: State, forces: Iterable[Force] | None = None
    ) -> Iterator[Float[Tensor, "*batch N 3"]]:
        """Yield the nodal forces [N] of some forces, of all by default."""
        with remembering(self, state) as at:
            for force in map(self._force, self.forces) if forces is None else forces:
                vectors = force(at)
                check_vectors(vectors, state.positions, name=f"{type(force).__name__}.forward", added=True)
                yield vectors

    def dissipated(
        self, state: State, velocities: Float[Tensor, "*batch N 3"], dt: float, *, without_term: bool = False
    ) -> Float[Tensor, "*batch N 3"]:
        """Return velocities after all dissipations acted for dt [s], or those only without a term."""
        for dissipation in self.dissipation.values():
            if not (without_term and dissipation.has_term):
                velocities = dissipation(state, velocities, self.context(dt))
                check_vectors(velocities, state.positions, name=f"{type(dissipation).__name__}.forward")
        return velocities

    def start(self, state: State) -> State:
        """Return the state with the history of the step itself, beside the internal variables of forces."""
        return state

    def check_state(self, state: State) -> None:
        """Raise TypeError or ValueError unless this step can start from a state."""
        check_state(self, state)

    @in_own_rest_shape
    def forward(self, state: State) -> State:
        self.check_state(state)
        for _ in range(self.substeps):
            state = advanced(self, state)
        return state

    @abstractmethod
    def substep(self, state: State) -> State:
        """Return the state dt/substeps later."""

    @in_own_rest_shape
    def stable_dts(
        self, state: State | None = None, *, contact: Float[Tensor, "*batch"] | None = None
    ) -> Float[Tensor, "*batch"]:
        """Return the longest stable dt [s] of each sample for an explicit step, see `steps.stability`.

        With a state: from the elements' tangents and contacts there; without: from a bound on those at rest,
        cheap and lower, and no contact. Other forces without elements, and masses attached to the body,
        do not count.

        Args:
            state: where.
            contact: the largest stiffness of contacts over mass [1/s²], in place of that at the state.
        """
        masses = self.density * self.elements.volumes / self.elements.nodes_per_cell
        if contact is None and state is not None:
            contact = self.contact_squares(state)
        with nullcontext() if state is None else remembering(self, state):
            return self.substeps * stable_dts(map(self._force, self.forces), masses, state, contact)

    def stable_dt(self, state: State) -> float:
        """Return the longest stable dt [s] of an explicit step from this state, the least of all samples."""
        self.check_state(state)
        with torch.no_grad():
            return float(self.stable_dts(state).min())

    @in_own_rest_shape
    def contact_squares(self, state: State | None = None) -> Float[Tensor, "*batch"]:
        """Return the largest stiffness that single vertices get from contacts, over their mass [1/s²].

        At a state, or None: as far as the contacts are meant to be pressed.
        """
        stiffness = [self._force(name).vertex_stiffness(state) for name in self.forces]
        return (sum(stiffness, torch.zeros_like(self.mobility)) * self.mobility).amax(-1)

    def contacts(self) -> dict[str, Contact]:
        """Return the contacts among the forces, by name."""
        return {name: force for name, force in self.forces.items() if isinstance(force, Contact)}

    def prepare(self, state: State) -> None:
        """Do what must not happen inside a step, for states of this shape; called at a rollout's edge."""
        for name in self.forces:
            self._force(name).prepare(state)

    def _force(self, name: str) -> Force:
        force = self.forces[name]
        assert isinstance(force, Force)
        return force

    def extra_repr(self) -> str:
        return f"dt = {self.dt:g} s, substeps = {self.substeps}\n{super().extra_repr()}"

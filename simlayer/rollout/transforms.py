"""The check that a rollout works in the transforms of `torch.func` that it is called in."""

from __future__ import annotations

from simlayer.autodiff.torch_private import forward_mode_outside, is_mapped, transforms_active
from simlayer.rollout.inputs import RolloutInputs

_INSTEAD = (
    "cannot be called in a transform of torch.func (grad, vmap, jacrev, ...): use compile=False and "
    "checkpoint='none', or torch.autograd.grad and torch.autograd.functional.jacobian."
)


def check_transforms(
    inputs: RolloutInputs, *, explicit: bool, checkpoint: str | int, compiler: str | bool, validate: bool
) -> None:
    """Raise RuntimeError if a transform of `torch.func` is active in which these options do not work."""
    if not transforms_active():
        return
    if explicit and forward_mode_outside():
        raise RuntimeError(
            "a rollout cannot be called in a jvp or jacfwd of torch.func around another transform, such as "
            "hessian: for second derivatives use torch.func.jacrev around jacfwd or jacrev."
        )
    given = {"positions": inputs.state.positions, "velocities": inputs.state.velocities}
    given |= inputs.values_at(0)
    mapped = [name for name, tensor in given.items() if is_mapped(tensor)]
    if mapped and validate:
        raise RuntimeError(
            f"torch.func.vmap hides the values of {mapped[0]}, which have to be read to validate a rollout. "
            "Call it once with all samples, the axes of their batch first, as in positions (B, N, 3) and "
            "youngs_modulus (B, 1); or set validate=False."
        )
    if compiler not in ("auto", False):
        raise RuntimeError(f"a compiled rollout {_INSTEAD}")
    if inputs.needs_gradient() and checkpoint not in ("auto", "none"):
        raise RuntimeError(f"a rollout with checkpoint={checkpoint!r} {_INSTEAD}")

"""Rollouts as environments of reinforcement learning; needs the extra `gym`."""

try:
    from simlayer.reinforcement.environment import RolloutEnvironment
except ModuleNotFoundError as error:
    if error.name != "gymnasium":
        raise
    raise ModuleNotFoundError(
        "simlayer.reinforcement needs Gymnasium: pip install 'simlayer[gym]'", name=error.name
    ) from error

__all__ = ["RolloutEnvironment"]

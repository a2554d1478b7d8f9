"""Evaluations of a fit by Gauss-Newton in several processes."""

import subprocess
import sys
from pathlib import Path

import pytest

# Each process has a scene of its own. What is raised is printed.
PROCESS = """
import sys
import torch
import torch.distributed as processes
from support.observed import E, observed_beam, observed_scenes
from simlayer.identification.first_guess import FirstGuess
from simlayer.identification.gauss_newton import GaussNewton
from simlayer.identification.least_squares import LeastSquares
from simlayer.identification.linearized_fit import LinearizedFit
from simlayer.identification.losses import PositionLoss

rank, store = int(sys.argv[1]), sys.argv[2]
torch.set_default_dtype(torch.float64)
processes.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)

def total(part):
    whole = part.clone()
    processes.all_reduce(whole)
    return whole

def fit(cause):
    observed = observed_beam()
    scenes = observed_scenes(observed, {E: 8e4}, count=1)
    if rank == 1 and cause == "simulation":
        scenes = scenes._replace(velocities=scenes.velocities * 1e200)
    if rank == 1 and cause == "sensors":
        observed.sensors.forward = lambda positions: positions.numpy()
    unknowns = [observed.quantities_by_name()[E]]
    optimizer = GaussNewton([unknown.parameter for unknown in unknowns])
    fit = LinearizedFit(LeastSquares(observed, PositionLoss(), unknowns), optimizer, FirstGuess(unknowns))
    while not optimizer.converged:
        optimizer.step(lambda: fit.evaluate(scenes, total))
    return f"found {float(unknowns[0].value):.6g}"

for cause in ("none", "simulation", "sensors"):
    try:
        print(fit(cause))
    except Exception as error:
        print(type(error).__name__, str(error).replace("\\n", " "))
processes.destroy_process_group()
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What each of two processes prints of three fits."""
    store, place = tmp_path_factory.mktemp("processes") / "store", Path(__file__).parents[1]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(rank), str(store)],
            cwd=place,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        return [process.communicate(timeout=300)[0].strip().splitlines() for process in running]
    finally:
        for process in running:
            process.kill()


def test_two_processes_find_the_same(printed):
    assert printed[0][0] == printed[1][0] == "found 80000"


@pytest.mark.parametrize(("fit", "name"), [(1, "DivergenceError"), (2, "ObservationError")])
def test_an_error_in_one_process_ends_the_fit_in_both(printed, fit, name):
    assert printed[0][fit] == "SimulationError the fit has failed in another process, whose error says why."
    assert printed[1][fit].startswith(name)

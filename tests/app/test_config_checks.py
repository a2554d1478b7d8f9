"""Before anything is built: what cannot work is named, and what can passes."""

import re

import pytest
from support.configs import composed

from simlayer.app.config_checks import check_config
from simlayer.app.config_tree import config_folder
from simlayer.errors import ConfigError

EXPERIMENTS = sorted(
    path.stem for path in (config_folder() / "experiment").glob("*.yaml") if path.stem != "blank"
)
LBFGS = "optimizer=lbfgs"


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_can_be_run(experiment):
    own = {"silicone_beam": ["data.path=pyproject.toml"]}  # a recording that is not in the repository
    config = composed(f"experiment={experiment}", *own.get(experiment, []))
    for multirun in (False, True):
        check_config(config, multirun=multirun)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dtype=float16"], "dtype must be float32 or float64, got 'float16'."),
        (["threads=0"], "threads must be a whole number of at least 1, got 0."),
        (["threads=1.5"], "threads must be a whole number of at least 1, got 1.5."),
        (["trainer.max_epochs=0"], "trainer.max_epochs must be a whole number of at least 1, got 0."),
        (["trainer.max_epochs=2.5"], "trainer.max_epochs must be a whole number of at least 1, got 2.5."),
        (["duration=-1"], "duration must be a positive number of seconds, got -1."),
        (["duration=long"], "duration must be a positive number of seconds, got 'long'."),
        (["step.dt=0"], "step.dt must be a positive number of seconds, got 0."),
        (["step.dt=Auto"], "step.dt must be a positive number of seconds, got 'Auto'."),
        (["trainable=[]"], "trainable must be a list of names"),
        (["trainable=null"], "trainable must be a list of names, such as"),
        (["run_name='a=b'"], "run_name must not contain = or \\, which break later overrides, got 'a=b'."),
        *(
            ([f"run_name={name}"], "run_name must name a folder inside output=outputs")
            for name in ("../../x", "a/../../x", "/x", ".", "''")
        ),
        (["+trainer.precision=16"], "trainer.precision has no effect on the simulation; use dtype=float32"),
        ([LBFGS, "trainer.gradient_clip_val=1"], "L-BFGS and gradient clipping: "),
        ([LBFGS, "trainer.accumulate_grad_batches=2"], "L-BFGS and accumulated gradients: "),
        ([LBFGS, "trainer=ddp_cpu"], "L-BFGS in several processes: "),
        ([LBFGS, "trainer.num_nodes=2"], "L-BFGS in several processes: "),
        ([LBFGS, "scheduler=cosine"], "L-BFGS chooses its own step lengths; set scheduler=none"),
        (["trainer.gradient_clip_val=1"], "Gauss-Newton and gradient clipping: "),
        (["trainer.accumulate_grad_batches=2"], "Gauss-Newton and accumulated gradients: "),
        (["scheduler=cosine"], "Gauss-Newton chooses its own step lengths; set scheduler=none"),
        (["++fields.youngs_modulus=cells", "trainer=ddp_cpu"], "L-BFGS in several processes: "),
        (["mesh.path=nowhere.msh"], "mesh.path: nowhere.msh does not exist (looked from "),
        (["data.path=nowhere.vtu"], "data.path: nowhere.vtu does not exist (looked from "),
        (
            ["data.path=${mesh.path}", "data.noise=1e-3"],
            "data.twin, data.noise and data.missing only apply to a twin",
        ),
        (
            ["data.path=${mesh.path}", "data.twin=refined"],
            "data.twin, data.noise and data.missing only apply to a twin",
        ),
        (["coarse=null"], "coarse must be {mesh: ..., step: ..., order: ...}, got None."),
        (["+coarse.cells=[1,1,1]"], "coarse must be {mesh: ..., step: ..., order: ...}, got {"),
        (
            ["coarse.mesh=2"],
            "coarse.mesh must be keys of mesh that differ, such as {cells: [6, 2, 2]}, got 2.",
        ),
        (["coarse.step=0.01"], "coarse.step must be keys of step that differ, such as {dt: 1e-2}, got 0.01."),
        (
            ["mesh=box", "coarse.mesh={cell:[1,1,1]}"],
            "coarse.mesh.cell cannot be coarser; what can is cells.",
        ),
        (["coarse.step={density:500}"], "coarse.step.density cannot be coarser; what can is dt, substeps."),
        (["coarse.step={dt:-1}"], "coarse.step.dt must be a positive number of seconds, got -1."),
        (["coarse.mesh={path:nowhere.msh}"], "coarse.mesh.path: nowhere.msh does not exist"),
        (["coarse.order=-1"], "coarse.order must be a positive number, the order of the error of the mesh"),
        (["coarse.order=null"], "coarse.order must be a positive number, "),
        (["mesh=file"], "mesh.path=...  any file that meshio reads"),
        (["constraints=box"], "constraints.fixed.box.lower=...  [x, y, z] [m], one corner"),
        (["constraints=box"], "constraints.fixed.box.upper=...  [x, y, z] [m], the opposite one"),
        (["data=marker_paths", "mesh=file"], "data.points=...  {NAME: [x, y, z], ...}"),
    ],
)
def test_a_combination_that_cannot_work_says_why(overrides, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_config(composed(*overrides), multirun=False)


def test_what_l_bfgs_cannot_do_other_optimizers_can():
    overrides = ["trainer=ddp_cpu", "trainer.gradient_clip_val=1", "scheduler=cosine"]
    check_config(composed("optimizer=adam", *overrides), multirun=False)
    check_config(composed("optimizer=adam", "trainer.accumulate_grad_batches=2"), multirun=True)
    check_config(composed("optimizer=gauss_newton", "trainer=ddp_cpu"), multirun=False)


def test_a_multirun_cannot_start_processes_that_start_it_again():
    config = composed("optimizer=adam", "trainer=ddp_cpu")
    check_config(config, multirun=False)
    with pytest.raises(ConfigError, match=r"a multirun whose runs start processes.*ddp_spawn"):
        check_config(config, multirun=True)
    spawned = composed("optimizer=adam", "trainer=ddp_cpu", "trainer.strategy=ddp_spawn")
    check_config(spawned, multirun=True)


def test_everything_that_is_wrong_is_said_at_once():
    with pytest.raises(ConfigError) as error:
        check_config(composed("threads=0", "duration=-1", "trainer.gradient_clip_val=1"), multirun=False)
    lines = str(error.value).splitlines()
    assert [line.split()[0] for line in lines] == ["threads", "duration", "Gauss-Newton"]

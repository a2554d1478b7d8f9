"""The README shows a newcomer what is true: its code runs (see test_pages.py) and does what it says."""

import re
from pathlib import Path

import torch

import simlayer

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run(block: str) -> dict:
    """What a block defines."""
    torch.manual_seed(0)
    names: dict = {}
    exec(compile(block, "README.md", "exec"), names)
    return names


def test_the_layer_in_a_network_passes_its_gradient_to_the_network():
    names = run(BLOCKS[0])
    assert names["final"].positions.shape == (3, 63, 3)
    assert float(names["network"].weight.grad.abs().sum()) > 0


def test_the_material_of_the_readme_is_sound_and_has_a_gradient():
    names = run(BLOCKS[1])
    law = names["BlatzKo"](4e4)
    simlayer.check_material(law, stretches=(0.8, 1.2)).raise_if_failed()
    elastic = simlayer.ElasticForce(names["mesh"], law)
    step = simlayer.SymplecticEuler(names["mesh"], {"elastic": elastic}, dt=1e-5)
    moved = simlayer.State.at_rest(1.01 * names["mesh"].vertices)
    moduli = torch.tensor([[1e4], [2e4]], requires_grad=True)
    final = simlayer.RolloutModule(step, 3, compile=False)(moved, {"shear_modulus": moduli})
    final.positions.square().sum().backward()
    assert bool((moduli.grad != 0).all())


def test_no_class_of_the_readme_has_the_name_of_a_class_of_the_package():
    text = README + (ROOT / "CONTRIBUTING.md").read_text()
    assert not set(re.findall(r"^class (\w+)", text, re.MULTILINE)) & set(simlayer.__all__)


def test_the_readme_is_read_in_five_minutes():
    assert len(README.splitlines()) <= 150


def test_the_readme_has_the_command_of_the_tests_between_its_markers():
    for name in ("main", "tests"):
        (block,) = re.findall(rf"<!-- {name} -->\n```bash\n(.*?)\n```\n<!-- end -->", README, re.DOTALL)
        assert block.startswith("python3 -m venv .venv && ")
        assert "\n" not in block


def test_the_commands_of_the_readme_name_files_that_exist():
    for name in re.findall(r"[\w/.-]+\.(?:py|txt|png|md)\b", README):
        if "/" in name or name in ("train.py", "constraints.txt"):
            assert (ROOT / name).exists(), name

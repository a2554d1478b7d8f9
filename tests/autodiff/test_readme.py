"""The example of the folder's page runs as printed."""

import re
from pathlib import Path

import simlayer

PAGE = (Path(simlayer.__file__).parent / "autodiff" / "README.md").read_text()


def test_the_example_prints_what_it_says(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(block, {})
    assert capsys.readouterr().out.strip() == block.strip().rpartition("# ")[2]

"""The example in README.md runs as it is written, and learns what it says."""

import re
from pathlib import Path

import numpy as np

README = Path(__file__).parents[1] / "README.md"


def test_example_learns(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(example, names)
    predicted = names["model"].predict(names["x"], verbose=0).argmax(axis=1)
    assert np.mean(predicted == names["y"]) > 0.95
    assert "Total params" in capsys.readouterr().out

"""The README's example of the losses in somebody else's training loop runs as it stands."""

import re
from pathlib import Path

import torch

README = Path(__file__).parents[2] / "README.md"


def test_the_examples_of_the_losses_run() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    examples = [block for block in blocks if "from pointseg.losses import" in block]
    assert examples, "the README shows how to use the losses"
    for example in examples:
        names: dict[str, torch.Tensor] = {}
        exec(example, names)
        assert torch.isfinite(names["loss"])
        assert names["logits"].grad is not None and names["images"].grad is not None

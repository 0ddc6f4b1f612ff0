"""Write tests/fixtures/losses.json from tests/losses/reference*.py alone: python tests/make_loss_golden.py"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from losses import reference, reference_features  # noqa: E402


def main() -> None:
    found = {}
    for num_classes in (19, 200):
        for module in (reference, reference_features):
            for name in module.LOSSES:
                value, gradient = module.golden(name, num_classes)
                found[f"{name} {num_classes}"] = {
                    "value": value,
                    "gradient": [[float(f"{number:.12g}") for number in row] for row in gradient.tolist()],
                }
    path = HERE / "fixtures" / "losses.json"
    path.write_text(
        json.dumps(found, separators=(",", ":")).replace('"},"', '"},\n"').replace("},", "},\n") + "\n"
    )
    print(f"{path}: {len(found)} values and gradients, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()

"""Write tests/fixtures/spconv_unet.npz: a random SpUNet of spconv's layers, and what spconv computes.

Run with spconv installed: python tests/make_spconv_golden.py
"""

from pathlib import Path

import numpy as np
import spconv.pytorch as spconv
import spconv_unet
import torch
from oracle import random_coords

GOLDEN = Path(__file__).parent / "fixtures" / "spconv_unet.npz"


def main() -> None:
    # More threads race in spconv's CPU scatter.
    torch.set_num_threads(1)
    network, features, coords = spconv_unet.random_case(spconv, random_coords(300))
    with torch.no_grad():
        logits = network(features, coords)
    state = {f"state/{key}": value.numpy() for key, value in network.state_dict().items()}
    arrays = {"coords": coords.numpy(), "features": features.numpy(), "logits": logits.numpy()}
    np.savez_compressed(GOLDEN, **arrays, **state)


if __name__ == "__main__":
    main()

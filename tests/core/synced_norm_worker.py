"""One of the two processes of test_synced_norm.py: ``synced_norm_worker.py RANK FOLDER``."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from host_waits import HostWaits
from test_synced_norm import CASES, norm_of, rows_of, two_steps

from pointseg.core.synced_norm import synchronised

if __name__ == "__main__":
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    dist.init_process_group("gloo", store=dist.FileStore(str(folder / "store"), 2), rank=rank, world_size=2)
    found = {}
    for case in CASES:
        # gloo itself waits, the norm must not.
        with HostWaits() as waits:
            found[case] = two_steps(synchronised(norm_of(case)), *rows_of(case)[rank])
        assert not waits.places, waits.places
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()

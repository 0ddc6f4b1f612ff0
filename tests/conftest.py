"""One thread for each test process: the tests are small, and several processes share the cores.

Triton runs in its interpreter, so that its kernels are tested on any machine; scripts/gpu_check.sh runs them
on a GPU.
"""

import os

from hypothesis import settings

# Before torch is imported, or it has no effect.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TRITON_INTERPRET", "1")

# A test machine with other work is slow now and then; how long a test takes is no fact about the code.
settings.register_profile("pointseg", deadline=None)
settings.load_profile("pointseg")

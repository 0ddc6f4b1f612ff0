"""One thread for each test process: the tests are small, and several processes share the cores."""

import os

# Before torch is imported, or it has no effect.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

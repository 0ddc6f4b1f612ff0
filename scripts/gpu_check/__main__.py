"""Prove and measure pointseg on a GPU; see scripts/gpu_check.sh."""

from __future__ import annotations

import sys

from gpu_check.main import main

if __name__ == "__main__":
    sys.exit(main())

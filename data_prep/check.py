"""Verify a store. The same as `pointseg prepare check`."""

import sys

from pointseg.prepare.check import main

if __name__ == "__main__":
    sys.exit(main())

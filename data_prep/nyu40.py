"""NYU Depth v2 -> the folder that layout `nyu40` reads. The same as `pointseg prepare nyu40`."""

import sys

from pointseg.prepare.nyu40 import main

if __name__ == "__main__":
    sys.exit(main())

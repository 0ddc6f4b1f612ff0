"""Raw ScanNet v2 -> store. The same as `pointseg prepare scannet`."""

import sys

from pointseg.prepare.scannet import main

if __name__ == "__main__":
    sys.exit(main())

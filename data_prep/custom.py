"""Anybody's labelled clouds -> store, with any number of classes. The same as `pointseg prepare custom`."""

import sys

from pointseg.prepare.custom import main

if __name__ == "__main__":
    sys.exit(main())

"""Files of the outside world: PLY, ScanNet, labelled clouds, submissions. Depends on core and numpy only."""

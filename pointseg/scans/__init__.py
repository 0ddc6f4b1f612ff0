"""Everything that only point clouds have: stores, transforms, voxels, tiles."""

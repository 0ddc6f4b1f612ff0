"""pointseg: semantic segmentation of 3D point clouds with long-tailed classes."""

__version__ = "0.1.0"

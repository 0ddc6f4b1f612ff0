"""Implementations of the sparse convolution behind one protocol; pointseg.sparse.engines chooses."""

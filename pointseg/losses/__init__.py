"""Training losses: one method per file. Each sees labelled rows only, so 2D and 3D share them."""

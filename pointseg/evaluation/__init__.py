"""Confusion counts, the mIoU report, diagnostics, and the verbs that print them."""

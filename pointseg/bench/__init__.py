"""`pointseg bench`: engines side by side in one process."""

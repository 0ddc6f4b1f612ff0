"""Training: the loop, its step, its state, and what feeds and watches it."""

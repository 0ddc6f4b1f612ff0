"""Public checkpoints to RUN folders and back."""

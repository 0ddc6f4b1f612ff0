"""RUN folders on disk: configuration, checkpoints, and load_run."""

"""The jobs of the command line: train, predict, evaluate, submit, visualise."""

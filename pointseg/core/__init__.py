"""The vocabulary of the project: labels, scenes, batches, predictions. Depends on torch and numpy only."""

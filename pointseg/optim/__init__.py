"""Optimisers, learning-rate schedules and weight averaging: typed options that build their object."""

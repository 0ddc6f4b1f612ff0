"""Galleries: all scenes of a split with what runs make of them, served on this machine or as static pages."""

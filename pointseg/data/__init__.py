"""Scenes to batches: the store, augmentation, voxelisation, data sets and loaders."""

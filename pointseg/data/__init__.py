"""What scans and images have in common: an opened data set, and the reader of its batches."""

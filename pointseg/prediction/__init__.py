"""From scenes and files to predictions."""

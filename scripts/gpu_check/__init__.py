"""What a GPU does with pointseg: proves results first, then measures. Run by scripts/gpu_check.sh."""

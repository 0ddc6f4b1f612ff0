"""Everything that only photographs have: layouts of benchmarks, reading, batches."""

"""Load and micro benchmarks, each beside its baseline in the same run."""

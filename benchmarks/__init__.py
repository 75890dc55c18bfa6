"""Benchmarks: what dtopics promises, measured. Run ``python -m benchmarks NAME``."""

"""Measurements of the product: python -m benchmarks.startup, python -m benchmarks.archive."""

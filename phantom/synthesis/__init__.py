"""Whole-head studies from label maps: what the members are trained and measured on. NumPy and SciPy only."""

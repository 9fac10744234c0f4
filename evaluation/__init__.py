"""Measuring a model set on a cohort, through the worker's own pipeline; no torch."""

"""Cohorts of synthetic studies, frozen by file."""

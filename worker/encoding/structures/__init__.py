"""Findings -> RT Structure Set, read back and checked."""

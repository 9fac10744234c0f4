"""A researcher's own studies."""

"""Training of the members and of the brain extraction: the only package that knows torch."""

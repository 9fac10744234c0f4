"""Studies with a known answer, made or read one at a time."""

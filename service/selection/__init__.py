"""Pure: is the study complete, which series is T1, which T1-post, and why."""

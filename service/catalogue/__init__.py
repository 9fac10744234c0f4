"""What we have, received and published, as queries see it: studies, series, instances."""

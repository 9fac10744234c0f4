"""From tissues to signals, by physics."""

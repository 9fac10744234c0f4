"""What a scanner, a moving patient and a registration make of a head."""

"""Found against reference: a study, and all of them."""

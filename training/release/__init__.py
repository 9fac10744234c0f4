"""Trained members -> a model set with its evidence: files, ensemble.toml and CARD.md, all or nothing."""

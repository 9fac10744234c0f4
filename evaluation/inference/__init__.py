"""The worker's own pipeline over a cohort, each study once."""

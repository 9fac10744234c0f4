"""One generator of studies with known truth: demo, tests and evaluation all use it."""

"""Results out: the outbox and the pushes to every destination."""

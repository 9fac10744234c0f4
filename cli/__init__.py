"""The ``metserve`` command: composes service and worker; the only package that knows both."""

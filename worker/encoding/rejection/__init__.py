"""Superseded objects -> a key object note that rejects them (IHE IOCM), read back and checked."""

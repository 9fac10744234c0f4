"""FindingsReport -> TID 1500 Structured Report, read back and checked."""

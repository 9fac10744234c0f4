"""What is measured, as frozen types that JSON can hold."""

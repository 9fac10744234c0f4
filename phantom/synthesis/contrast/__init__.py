"""What takes up contrast without being a lesion."""

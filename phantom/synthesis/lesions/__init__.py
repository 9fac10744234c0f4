"""Metastases: how many, how large, where, and how they look."""

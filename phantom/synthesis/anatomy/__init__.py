"""Heads: label maps, the template, and their random warps."""

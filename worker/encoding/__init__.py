"""Findings -> DICOM objects, each read back and checked before it leaves."""

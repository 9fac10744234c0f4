"""Findings -> DICOM Segmentation, read back and checked."""

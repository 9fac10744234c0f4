"""Speaks with the hospital: DICOM and HTTP in, results out. No pixel work."""

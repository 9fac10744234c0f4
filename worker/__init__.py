"""Computes: from datasets to findings and DICOM objects. Speaks to no network but broker and database."""

"""Pages that people read: what was found, or why nothing was looked for. No DICOM in here."""

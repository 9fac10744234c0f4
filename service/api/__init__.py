"""REST: studies, jobs, results, health. No pixel work, no DICOM network."""

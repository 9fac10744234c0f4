"""DICOM in: Storage SCP, and the contract under which an instance counts as received."""

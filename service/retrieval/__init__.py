"""What we have, asked for by DICOM: C-FIND, C-MOVE, C-GET."""

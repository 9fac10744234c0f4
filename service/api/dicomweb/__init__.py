"""DICOMweb (PS3.18): studies in by STOW-RS, found by QIDO-RS, fetched by WADO-RS."""

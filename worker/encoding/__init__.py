"""Findings -> DICOM objects, each read back and checked before it leaves."""

from worker.encoding.codes import DEFAULT_SITE_CODES, SiteCodes
from worker.encoding.encode import DEFAULT_SITE, EncodedResults, Pictures, SiteChoices, encode
from worker.encoding.part10 import to_bytes
from worker.encoding.sources import EncodingSources

__all__ = [
    "DEFAULT_SITE",
    "DEFAULT_SITE_CODES",
    "EncodedResults",
    "EncodingSources",
    "Pictures",
    "SiteChoices",
    "SiteCodes",
    "encode",
    "to_bytes",
]

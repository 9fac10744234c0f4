"""Findings -> DICOM objects, each read back and checked before it leaves."""

from worker.encoding.codes import DEFAULT_SITE_CODES, SiteCodes
from worker.encoding.encode import EncodedResults, encode
from worker.encoding.part10 import to_bytes
from worker.encoding.sources import EncodingSources

__all__ = ["DEFAULT_SITE_CODES", "EncodedResults", "EncodingSources", "SiteCodes", "encode", "to_bytes"]

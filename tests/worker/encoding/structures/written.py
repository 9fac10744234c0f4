"""Structure sets as they leave the worker, of studies with known lesions."""

from __future__ import annotations

from core.results import StructureStyle
from tests.encoded_study import EncodedStudy
from worker.encoding import to_bytes
from worker.encoding.codes import DEFAULT_SITE_CODES
from worker.encoding.identity import read_identity
from worker.encoding.provenance import Stamp
from worker.encoding.structures.build import build_structure_set


def written(study: EncodedStudy, style: StructureStyle = StructureStyle.NEUTRAL) -> bytes:
    structure_set = build_structure_set(study.findings, study.report, study.sources, study.provenance, style)
    stamp = Stamp(read_identity(study.sources.t1_post[0]), study.provenance, DEFAULT_SITE_CODES)
    return to_bytes(stamp.applied_to(structure_set))

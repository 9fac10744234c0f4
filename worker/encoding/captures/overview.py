"""The overview: a secondary capture for a PACS that draws neither SEG nor SR."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom import Dataset

from core.provenance import Provenance
from core.results import ResultKind
from worker.encoding.captures.pages import SOURCE_IMAGE_FOR_MONTAGE, slices_shown, source_images
from worker.encoding.captures.secondary_capture import CaptureSeries, build_capture
from worker.encoding.sources import EncodingSources
from worker.overview.content import Overview

OVERVIEW_SERIES = CaptureSeries(ResultKind.OVERVIEW, 9004, "metserve overview")
DERIVATION = "Pages made by software: lesions outlined in slices and reformats of the T1-post series"


def build_overview(
    pages: Sequence[NDArray[np.uint8]], overview: Overview, sources: EncodingSources, provenance: Provenance
) -> Dataset:
    """Return the overview, not yet stamped: a page of measures, then the lesions in three planes.

    Parameters
    ----------
    pages
        RGB, drawn of ``overview``.
    """
    capture = build_capture(pages, OVERVIEW_SERIES, provenance, DERIVATION)
    capture.BodyPartExamined = "BRAIN"
    capture.SourceImageSequence = source_images(sources, slices_shown(overview))
    for item in capture.SourceImageSequence:
        item.PurposeOfReferenceCodeSequence = [CodedConcept.from_code(SOURCE_IMAGE_FOR_MONTAGE)]
    return capture

"""An instance's header in DICOM JSON (PS3.18 F); what is large is left behind a BulkDataURI."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.dataelem import DataElement, RawDataElement

from service.api.dicomweb.stored_file import StoredFile, open_stored_file, vr_of

BULK_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "OB or OW"})

LARGEST_INLINE_BYTES = 1024
"""Of a binary value in the JSON itself."""

URL_PLACEHOLDER = "urn:metserve:instance"
"""Stands for the instance's URL in what is kept: that depends on how a client reaches the service."""

UTF_8 = {"vr": "CS", "Value": ["ISO_IR 192"]}

CHARACTER_SET_KEY = "00080005"

_GROUP_LENGTH = 0x0000


class MetadataCache:
    """Keeps the JSON of instances read lately: viewers ask for a series again and again.

    Files never change, so their path is the key; retention removes the record before the file.

    Parameters
    ----------
    maximum_bytes
        Of all texts together.
    """

    def __init__(self, maximum_bytes: int) -> None:
        self._maximum_bytes = maximum_bytes
        self._lock = threading.Lock()
        self._texts: OrderedDict[Path, bytes] = OrderedDict()
        self._bytes = 0

    def json_of(self, path: Path, instance_url: str) -> bytes:
        """Return an instance's metadata, UTF-8.

        Raises
        ------
        Defect
            The file is gone or cannot be understood any more.
        Transient
            The disk cannot be read at present.
        """
        with self._lock:
            text = self._texts.get(path)
            if text is not None:
                self._texts.move_to_end(path)
        if text is None:
            text = _read(path)
            self._keep(path, text)
        return text.replace(URL_PLACEHOLDER.encode(), instance_url.encode())

    def _keep(self, path: Path, text: bytes) -> None:
        with self._lock:
            if len(text) > self._maximum_bytes or path in self._texts:
                return
            self._texts[path] = text
            self._bytes += len(text)
            while self._bytes > self._maximum_bytes:
                _, oldest = self._texts.popitem(last=False)
                self._bytes -= len(oldest)


def metadata_of(stored: StoredFile, instance_url: str) -> dict[str, Any]:
    """Return an instance's metadata as DICOM JSON.

    Parameters
    ----------
    instance_url
        Bulk data is found below it.
    """
    content = _json(stored.header, f"{instance_url}/bulkdata/")
    content[CHARACTER_SET_KEY] = UTF_8
    if stored.pixels is not None:
        key = f"{stored.pixels.tag:08X}"
        content[key] = {"vr": stored.pixels.vr, "BulkDataURI": f"{instance_url}/bulkdata/{key}"}
    return dict(sorted(content.items()))


def _read(path: Path) -> bytes:
    content = metadata_of(open_stored_file(path), URL_PLACEHOLDER)
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _json(dataset: Dataset, bulk_url: str) -> dict[str, Any]:
    content = {}
    for tag in dataset.keys():  # noqa: SIM118 - iterating a Dataset converts every value
        if tag.element == _GROUP_LENGTH:
            continue
        key = f"{int(tag):08X}"
        raw: Any = dataset.get_item(tag, keep_deferred=True)
        if isinstance(raw, RawDataElement) and raw.length > LARGEST_INLINE_BYTES and vr_of(raw) in BULK_VRS:
            vr = vr_of(raw)
            content[key] = {"vr": "OW" if vr == "OB or OW" else vr, "BulkDataURI": f"{bulk_url}{key}"}
        else:
            content[key] = _element_json(dataset, tag, f"{bulk_url}{key}")
    return content


def _element_json(dataset: Dataset, tag: Any, url: str) -> dict[str, Any]:
    """Return one element; a value that cannot be understood is left out, its VR stays."""
    vr = "UN"
    try:
        element = dataset[tag]
        vr = element.VR
        if vr == "SQ":
            items = [_json(item, f"{url}.{number}.") for number, item in enumerate(element.value)]
            return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
        return _value_json(element)
    except OSError:
        raise
    except Exception:  # noqa: BLE001 - headers hold anything; one bad value must not hide the others
        return {"vr": vr}


def _value_json(element: DataElement) -> dict[str, Any]:
    content: dict[str, Any] = element.to_json_dict(None, LARGEST_INLINE_BYTES)
    json.dumps(content, allow_nan=False)  # JSON has no NaN
    json.dumps(content, ensure_ascii=False).encode()  # nor lone surrogates
    return content

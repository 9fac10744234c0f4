"""The tables of docs/dicom-conformance.md, read from the code that acts by them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from pydicom.sr.coding import Code
from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from core.destinations import PROFILES
from core.errors import UnsuitableReason
from core.headers import ANALYSED_SOP_CLASSES
from core.results import SOP_CLASSES, ResultKind
from core.settings import AssemblySettings, DeliverySettings, ReceiverSettings, RoleSettings, WorkerSettings
from core.study import QualityFlag
from service.delivery import association, push_report
from service.delivery.commitment import PUSH_MODEL
from service.delivery.courier import caller_of
from service.delivery.fallbacks import FALLBACKS
from service.receiving import receiver
from service.receiving.instance_file import REFUSED_TRANSFER_SYNTAXES, RefusalReason
from service.receiving.reception import Reception, ReceptionKind
from worker.encoding import codes
from worker.encoding.remarks import FLAG_SENTENCES
from worker.overview.notice import ADVICE, REASON_SENTENCES
from worker.pixels import DECODERS

QUERY_AND_RETRIEVE = (
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelMove,
    PatientRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    StudyRootQueryRetrieveInformationModelGet,
)


def table(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    heading = list(heading)
    lines = [heading, ["---"] * len(heading), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def networking() -> str:
    """Return which SOP classes are user and provider here."""
    kinds: dict[str, list[str]] = {}
    for kind, uid in SOP_CLASSES.items():
        kinds.setdefault(uid, []).append(kind.value)
    received = [context.abstract_syntax for context in _accepted() if context.abstract_syntax not in kinds]
    analysed = [uid for uid in received if uid in ANALYSED_SOP_CLASSES]
    kept = len(_accepted()) - len(analysed) - 1
    rows = [
        ("Verification", f"`{receiver.VERIFICATION}`", "no", "yes"),
        *((model.name, f"`{model}`", "no", "yes") for model in QUERY_AND_RETRIEVE),
        ("Storage Commitment Push Model", f"`{PUSH_MODEL}`", "yes", "yes"),
        *((UID(str(uid)).name, f"`{uid}`", "no", "yes, analysed") for uid in analysed),
        *(
            (UID(uid).name, f"`{uid}`", f"yes ({', '.join(sent)})", "yes, kept")
            for uid, sent in kinds.items()
        ),
        (
            f"{kept - len(kinds)} other storage classes",
            "[section 9](#9-storage-classes-kept)",
            "no",
            "yes, kept",
        ),
    ]
    return table(("SOP class", "UID", "user (SCU)", "provider (SCP)"), rows)


def kept_classes() -> str:
    """Return the storage classes that are accepted, kept and never analysed."""
    uids = sorted(str(context.abstract_syntax) for context in _accepted())
    kept = [uid for uid in uids if uid not in {*ANALYSED_SOP_CLASSES, receiver.VERIFICATION}]
    return table(("SOP class", "UID"), ((UID(uid).name, f"`{uid}`") for uid in kept))


def transfer_syntaxes() -> str:
    """Return the transfer syntaxes of the receiver, in its order of preference."""
    lossless, lossy = receiver.LOSSLESS_TRANSFER_SYNTAXES, receiver.LOSSY_TRANSFER_SYNTAXES
    rows = [(uid.name, f"`{uid}`", "yes", "yes", DECODERS.get(uid, "pydicom")) for uid in lossless]
    rows += [(uid.name, f"`{uid}`", "no", "yes", "never decoded") for uid in lossy]
    rows += [(uid.name, f"`{uid}`", "no", "no", "") for uid in sorted(REFUSED_TRANSFER_SYNTAXES)]
    return table(("transfer syntax", "UID", "MR, Enhanced MR", "other storage classes", "decoder"), rows)


def implementation() -> str:
    """Return how each application entity identifies the implementation."""
    entities: Mapping[str, AE] = {
        "receiver": receiver._entity(ReceiverSettings()),
        "sender": association._entity(caller_of(DeliverySettings(), None)),
    }
    rows = [
        (
            name,
            f"`{entity.implementation_class_uid}`",
            f"`{entity.implementation_version_name}`",
            f"{entity.maximum_pdu_size}",
        )
        for name, entity in entities.items()
    ]
    heading = (
        "application entity",
        "Implementation Class UID",
        "Implementation Version Name",
        "largest PDU, bytes",
    )
    return table(heading, rows)


def profiles() -> str:
    """Return what each kind of destination is sent."""
    rows = (
        (f"`{name.value}`", ", ".join(profile.objects) or "what the site lists", _yes(profile.notices))
        for name, profile in PROFILES.items()
    )
    return table(("profile", "objects", "notices"), rows)


def fallbacks() -> str:
    """Return what is sent in place of an object that a peer does not accept."""
    rows = ((f"`{kind}`", ", ".join(FALLBACKS.get(kind, ())) or "nothing") for kind in ResultKind)
    return table(("not accepted", "in its place"), rows)


def store_statuses() -> str:
    """Return what the receiver answers to a C-STORE, and when."""
    refused = {
        reason: receiver.status_of(Reception(ReceptionKind.REFUSED, reason)) for reason in RefusalReason
    }
    rows = [
        ("Success", receiver.SUCCESS, "stored for good, recorded, or the same object was there already"),
        (
            "Refused: out of resources",
            receiver.OUT_OF_RESOURCES,
            "disk or database cannot take it now: send later",
        ),
        (
            "Error: data set does not match SOP class",
            receiver.DATA_SET_DOES_NOT_MATCH,
            _reasons(refused, receiver.DATA_SET_DOES_NOT_MATCH),
        ),
        (
            "Error: cannot understand",
            receiver.CANNOT_UNDERSTAND,
            _reasons(refused, receiver.CANNOT_UNDERSTAND),
        ),
        ("Processing failure", receiver.PROCESSING_FAILURE, "a defect of metserve; logged"),
        ("Refused: not authorized", receiver.NOT_AUTHORIZED, "the peer has no right to store"),
    ]
    return table(
        ("meaning", "status", "when"), ((name, f"`0x{code:04X}`", when) for name, code, when in rows)
    )


def sent_statuses() -> str:
    """Return what the sender makes of a peer's answer."""
    passing = ", ".join(f"`0x{status:04X}`" for status in sorted(push_report.PASSING_FAILURES))
    rows = [
        ("`0x0000`, and every warning (`0x0001`, `0x0107`, `0x0116`, `0xBxxx`)", "stored"),
        (
            f"`0x{push_report.ALREADY_THERE:04X}` duplicate SOP Instance",
            "stored: the peer has this very object",
        ),
        (
            (
                f"`0x{push_report.OUT_OF_RESOURCES:04X}` to `0x{push_report.OUT_OF_RESOURCES | 0xFF:04X}` "
                "out of resources"
            ),
            "retry",
        ),
        (f"{passing} processing failure, resource limitation", "retry"),
        (
            f"`0x{push_report.SOP_CLASS_NOT_SUPPORTED:04X}` SOP class not supported, or context rejected",
            "a fallback is sent in its place, [4.5](#45-configuration); without one: refused",
        ),
        ("any other", "refused: given up, reported"),
        ("no answer, connection lost, association rejected or aborted", "retry"),
    ]
    return table(("answer of the peer", "what the sender does"), rows)


def results() -> str:
    """Return the objects an analysis can publish."""
    rows = (
        (f"`{kind.value}`", UID(uid).name, f"`{uid}`", _sentence(kind)) for kind, uid in SOP_CLASSES.items()
    )
    return table(("kind", "SOP class", "UID", "what it is"), rows)


def private_codes() -> str:
    """Return the codes of our own scheme."""
    rows = (
        (f"`{code.value}`", code.meaning, name)
        for name, code in vars(codes).items()
        if isinstance(code, Code) and code.scheme_designator == codes.PRIVATE_SCHEME
    )
    return table(("Code Value", "Code Meaning", "name in the code"), rows)


def regions() -> str:
    """Return how the parts of the brain are coded."""
    rows = (
        (f"`{region.value}`", _coded(code), _coded(modifier) if modifier else "")
        for region, code in codes.REGIONS.items()
        for modifier in (codes.REGION_MODIFIERS.get(region),)
    )
    return table(("part", "code", "modifier"), rows)


def site_codes() -> str:
    """Return the codes a site may replace, with their defaults."""
    defaults = codes.DEFAULT_SITE_CODES
    uses = {
        "procedure_reported": "Procedure reported (121058, DCM): the imaging procedure, CID 100",
        "equipment_purpose": "purpose of the Contributing Equipment item, CID 7005",
    }
    rows = ((f"`{name}`", _coded(getattr(defaults, name)), uses[name]) for name in codes.SiteCodes.__slots__)
    return table(("code", "default", "where"), rows)


def unsuitable_reasons() -> str:
    """Return why a study may not be analysed."""
    rows = ((f"`{reason.value}`", REASON_SENTENCES[reason], ADVICE[reason]) for reason in UnsuitableReason)
    return table(("reason", "what it means", "what to do"), rows)


def quality_flags() -> str:
    """Return the remarks that travel with a result."""
    return table(("flag", "sentence"), ((f"`{flag.value}`", FLAG_SENTENCES[flag]) for flag in QualityFlag))


def _accepted() -> list[receiver.PresentationContext]:
    return [build_context(receiver.VERIFICATION), *receiver._storage_contexts(ReceiverSettings())]


def settings(role: type[RoleSettings], *names: str) -> str:
    """Return a role's settings, all of them or those named."""
    prefix = str(role.model_config.get("env_prefix", ""))
    rows = (
        (
            f"`{prefix}{name.upper()}`",
            _value(field.get_default()),
            (field.description or "").replace("\n", " "),
        )
        for name, field in role.model_fields.items()
        if not names or name in names
    )
    return table(("setting", "default", "what it does"), rows)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _value(value: object) -> str:
    if value in ((), "", None):
        return "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _reasons(refused: Mapping[RefusalReason, int], status: int) -> str:
    return ", ".join(f"`{reason.value}`" for reason, answer in refused.items() if answer == status)


def _coded(code: Code) -> str:
    return f'({code.value}, {code.scheme_designator}, "{code.meaning}")'


def _sentence(kind: ResultKind) -> str:
    """Return the docstring that stands below a member of ResultKind."""
    source = Path(sys.modules[ResultKind.__module__].__file__ or "").read_text(encoding="utf-8")
    found = re.search(rf'    {kind.name} = .*\n    """(.*?)"""', source)
    if found is None:
        raise ValueError(f"{kind} has no docstring")
    return found[1]


RESULT_SETTINGS = (
    "structure_style",
    "probability_map",
    "rejection_note",
    "procedure_code",
    "equipment_purpose_code",
)
"""What a site chooses about its results."""

BLOCKS: Mapping[str, Callable[[], str]] = {
    "networking": networking,
    "kept-classes": kept_classes,
    "transfer-syntaxes": transfer_syntaxes,
    "implementation": implementation,
    "receiver-settings": partial(settings, ReceiverSettings),
    "assembly-settings": partial(settings, AssemblySettings),
    "delivery-settings": partial(settings, DeliverySettings),
    "result-settings": partial(settings, WorkerSettings, *RESULT_SETTINGS),
    "profiles": profiles,
    "fallbacks": fallbacks,
    "store-statuses": store_statuses,
    "sent-statuses": sent_statuses,
    "results": results,
    "private-codes": private_codes,
    "regions": regions,
    "site-codes": site_codes,
    "unsuitable-reasons": unsuitable_reasons,
    "quality-flags": quality_flags,
}

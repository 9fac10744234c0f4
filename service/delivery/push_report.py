"""What became of a push, in the same words for every way of pushing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from service.delivery.fallbacks import FALLBACKS
from service.delivery.results import ResultObject

OUT_OF_RESOURCES = 0xA700
"""High byte of the statuses 0xA700 to 0xA7FF (PS3.4 B.2.3)."""

PASSING_FAILURES = frozenset({0x0110, 0x0213})
"""Processing failure and resource limitation (PS3.7 Annex C): the peer may be well again later."""

SOP_CLASS_NOT_SUPPORTED = 0x0122
"""PS3.7 Annex C: as good as a context that was not accepted."""

ALREADY_THERE = 0x0111
"""Duplicate SOP Instance: our UIDs derive from the content, so the peer has this very object."""


class Verdict(StrEnum):
    """What became of one object, or of the whole push."""

    STORED = "stored"
    RETRY = "retry"
    REFUSED = "refused"
    """The same object will be refused again until somebody changes the peer."""


@dataclass(frozen=True, slots=True)
class PushReport:
    """Outcome of one push.

    Parameters
    ----------
    verdict
        The worst that matters: RETRY when any object may still get through, else REFUSED when any was.
    message
        For people: what the peer said about which object; empty when all were stored.
    reachable
        False when there was no association, so that nothing else will get through either.
    remark
        Of a push that is STORED: what the peer did not accept, and what it has in its place.
    stored
        What the peer has now, fallbacks among it.
    retry_after_s
        How long the peer asked to be left alone.
    """

    verdict: Verdict
    message: str
    reachable: bool = True
    remark: str = ""
    stored: tuple[ResultObject, ...] = ()
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What a peer said to one object."""

    result: ResultObject
    verdict: Verdict
    message: str
    not_accepted: bool = False
    remark: str = ""

    @property
    def kind(self) -> str:
        """The object's kind."""
        return self.result.kind


def verdict_of_failure(reason: int) -> Verdict:
    """Return what a failure status of C-STORE, or a failure reason of STOW-RS, means for the object."""
    if reason == ALREADY_THERE:
        return Verdict.STORED
    if reason & 0xFF00 == OUT_OF_RESOURCES or reason in PASSING_FAILURES:
        return Verdict.RETRY
    return Verdict.REFUSED


def with_fallbacks_sent(
    replies: Sequence[Reply], spare: Sequence[ResultObject], send: Callable[[ResultObject], Reply]
) -> list[Reply]:
    """Send, for each object that was not accepted, the first fallback that is; keep what was said."""
    by_kind = {reply.kind: reply for reply in replies}
    unsent = {result.kind: result for result in spare}
    replaced = []
    for reply in replies:
        for kind in FALLBACKS.get(reply.kind, ()) if reply.not_accepted else ():
            if kind not in by_kind and kind in unsent:
                by_kind[kind] = send(unsent[kind])
            if kind in by_kind and not by_kind[kind].not_accepted:
                break
        else:
            replaced.append(reply)
            continue
        replaced.append(_in_place_of(reply, by_kind[kind]))
    return replaced


def summary(replies: Sequence[Reply]) -> PushReport:
    """Return the outcome of a push from what was said to each object."""
    stored = {r.result.sop_instance_uid: r.result for r in replies if r.verdict is Verdict.STORED}
    verdicts = {reply.verdict for reply in replies}
    if verdicts <= {Verdict.STORED}:
        remark = "; ".join(filter(None, (reply.remark for reply in replies)))
        return PushReport(Verdict.STORED, "", remark=remark, stored=tuple(stored.values()))
    verdict = Verdict.RETRY if Verdict.RETRY in verdicts else Verdict.REFUSED
    message = "; ".join(reply.message for reply in replies)
    return PushReport(verdict, message, stored=tuple(stored.values()))


def _in_place_of(reply: Reply, other: Reply) -> Reply:
    """Return what became of an object whose fallback the peer took, or may still take."""
    if other.verdict is not Verdict.STORED:
        return Reply(reply.result, other.verdict, f"{reply.message}; in its place {other.message}")
    remark = f"{reply.message}; it has {other.kind} in its place"
    return Reply(other.result, Verdict.STORED, reply.message, remark=remark)

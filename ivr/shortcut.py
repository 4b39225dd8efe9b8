"""The reports of calls past the web framework: `telcod/web/shortcut.py` says how.

What is wrong with a report is said by the routes of `http.py`.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from ivr import calls
from ivr.calls import (
    Answered,
    CallAnswer,
    Charged,
    Consent,
    Ended,
    Granted,
    Offer,
    Progress,
)
from ivr.http import PLATFORMS, caller_of, decision, told_of
from telcod.errors import TelcodError
from telcod.types import Answer, Request
from telcod.web.gate import note
from telcod.web.ports import Backend
from telcod.web.shortcut import Fast, HttpScope

_CALLS: Final = "/ivr/v1/calls"


class _Report(NamedTuple):
    """A kind of report: how its body is read, the request it makes, what is answered."""

    read: Callable[[bytes], Any]
    request: Callable[[Backend, str, str, Any], Request]
    answer: type[Any]


def _reader(shape: type[Any]) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(shape).decode


_OFFER: Final = _Report(
    _reader(Offer),
    lambda backend, platform, _, said: calls.offer(
        said, platform=platform, caller=caller_of(backend, said)
    ),
    CallAnswer,
)
_REPORTS: Final = {
    "consent": _Report(
        _reader(Consent),
        lambda _, platform, call_id, said: calls.consent(call_id, said, platform=platform),
        CallAnswer,
    ),
    "answered": _Report(
        _reader(Answered),
        lambda _, platform, call_id, said: calls.answered(call_id, said, platform=platform),
        Granted,
    ),
    "progress": _Report(
        _reader(Progress),
        lambda _, platform, call_id, said: calls.progress(call_id, said, platform=platform),
        Granted,
    ),
    "ended": _Report(
        _reader(Ended),
        lambda _, platform, call_id, said: calls.ended(call_id, said, platform=platform),
        Charged,
    ),
}


def found(path: str) -> Fast | None:
    """The report that is posted to a path, if it is one."""
    if not path.startswith(_CALLS):
        return None
    words = path[len(_CALLS) :].split("/")
    if words == [""]:
        return _fast(_OFFER, "")
    if len(words) != 3 or words[0] or not words[1]:
        return None
    report = _REPORTS.get(words[2])
    return None if report is None else _fast(report, words[1])


def _fast(report: _Report, call_id: str) -> Fast:
    def understood(backend: Backend, platform: str, body: bytes, scope: HttpScope) -> Request:
        read = report.read(body)
        said = report.request(backend, platform, call_id, read)
        if isinstance(read, Ended):
            note(scope, cause=read.cause)
        return said

    def answered(
        backend: Backend, said: Request, result: Answer | TelcodError, scope: HttpScope
    ) -> Any:
        if report.answer is CallAnswer:
            return decision(backend, said, result, scope)
        return told_of(said, result, scope, report.answer)

    return Fast(PLATFORMS, understood, answered)

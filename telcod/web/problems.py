"""All that goes wrong in a call, as `application/problem+json` (HTTP-1); never a stack trace.

`code` is for programs, `detail` and `what_to_do` are one sentence each for people, `errors` names
the fields.  Status and Retry-After come from the one table, `telcod.errors.FATES`.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, ValidationException
from litestar.openapi import ResponseSpec

from telcod.errors import (
    FATES,
    KeyReused,
    LedgerCorrupt,
    Overloaded,
    Refusal,
    TelcodError,
    Unavailable,
    fate_of,
)
from telcod.web.staff_requests import Refused, refusal_or_none

MEDIA_TYPE: Final = "application/problem+json"

_CODES: Final[Mapping[type[Exception], str]] = {
    Overloaded: "overloaded",
    Unavailable: "unavailable",
    KeyReused: "key_reused",
}
_RETRY_AFTER_S: Final = 30  # of a 503 whose end nobody knows
_BY_STATUS: Final = {FATES[refusal].http_status: refusal for refusal in reversed(Refusal)}

_log = structlog.stdlib.get_logger(__name__)


class FieldProblem(msgspec.Struct, frozen=True):
    """A field that is wrong, and why."""

    field: str
    reason: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A problem as RFC 9457 has it, with `code`, `what_to_do` and `errors` of our own."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    what_to_do: str = ""
    errors: tuple[FieldProblem, ...] = ()


# What every route may answer, for the OpenAPI page.
PROBLEMS: Final[dict[int, ResponseSpec]] = {
    fate.http_status: ResponseSpec(
        Problem,
        generate_examples=False,
        description=HTTPStatus(fate.http_status).phrase,
        media_type=MEDIA_TYPE,
    )
    for what, fate in FATES.items()
    if isinstance(what, Refusal) or what in (Overloaded, Exception)
}


def problem_of(error: Exception) -> tuple[Problem, int]:
    """How an exception is told, and after how many seconds to try again (0: it does not help)."""
    refusal = refusal_or_none(error)
    if isinstance(error, TelcodError) and refusal is not None:
        fate = fate_of(refusal)
        field = getattr(error, "field", "")
        fields = (FieldProblem(field, str(error)),) if field else ()
        told = _problem(fate.http_status, refusal.value, str(error), error.what_to_do, fields)
        return told, fate.retry_after_s
    if isinstance(error, TelcodError):
        fate = fate_of(error)
        code = next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), "failed")
        # What the disk or the database said is for the log, not for a caller.
        detail = str(error) if code != "failed" or fate.http_status < 500 else "telcod failed"
        return _problem(fate.http_status, code, detail, error.what_to_do), fate.retry_after_s
    if isinstance(error, HTTPException) and error.status_code < 500:
        return _of_framework(error), 0
    if isinstance(error, RecursionError):  # the decoder's, on `[[[[…`; nothing of ours recurses
        return problem_of(Refused(Refusal.MALFORMED, "the body is nested too deeply"))
    if isinstance(error, UnicodeDecodeError):  # the decoder's too
        return problem_of(Refused(Refusal.MALFORMED, "the body is no UTF-8"))
    fate = fate_of(error)
    what_to_do = "It is in the log; tell whoever runs telcod."
    code = "unavailable" if isinstance(error, LedgerCorrupt) else "failed"
    return _problem(fate.http_status, code, "telcod failed", what_to_do), fate.retry_after_s


class Rendered(NamedTuple):
    """A problem as it goes over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The edge of one HTTP request: log what nobody foresaw, answer everything."""
    status, headers, body = rendered(error, path=request.url.path, method=request.method)
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def rendered(error: Exception, *, path: str, method: str) -> Rendered:
    """How a request is answered that ended in an exception; logs one that nobody foresaw."""
    problem, retry_after_s = problem_of(error)
    if problem.code == "failed":
        _log.error("http.failed", path=path, method=method, exc_info=error)
    headers = {"Cache-Control": "no-store"}
    if retry_after_s or problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(retry_after_s or _RETRY_AFTER_S)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="telcod"'
    if isinstance(error, MethodNotAllowedException):
        headers["Allow"] = (error.headers or {}).get("allow", "")
    members = error.members if isinstance(error, Refused) else {}
    body = msgspec.json.encode({**msgspec.structs.asdict(problem), **members})
    return Rendered(problem.status, headers, body)


def encoded(refusal: Refusal, detail: str) -> tuple[int, bytes]:
    """Status and body of a refusal for who answers without the framework."""
    problem, _ = problem_of(Refused(refusal, detail))
    return problem.status, msgspec.json.encode(problem)


def _of_framework(error: HTTPException) -> Problem:
    refusal = _BY_STATUS.get(error.status_code)
    code = refusal.value if refusal else HTTPStatus(error.status_code).name.lower()
    fields: tuple[FieldProblem, ...] = ()
    detail = _DETAILS.get(error.status_code, error.detail)
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        fields = tuple(_field(extra) for extra in error.extra)
        detail = "; ".join(f"{one.field}: {one.reason}" for one in fields) or detail
    what_to_do = Refused(refusal, "").what_to_do if refusal is Refusal.MALFORMED else ""
    return _problem(error.status_code, code, detail, what_to_do, fields)


_DETAILS: Final[Mapping[int, str]] = {
    404: "there is nothing here; see /schema for what there is",
    405: "this can't be done here; see /schema for what can",
    413: "the body is too large",
}
_NAMED: Final = re.compile(r"Object (?:contains unknown|missing required) field `([^`]*)`")


def _field(extra: Mapping[str, Any]) -> FieldProblem:
    """The framework's words for one wrong field, with the field's name where it names one."""
    where, reason = str(extra.get("key", "")), str(extra.get("message", "is wrong"))
    if where == "data":
        where = "body"
    if reason == "'data'":
        return FieldProblem("body", "is missing")
    if named := _NAMED.match(reason):
        name = named[1] if where == "body" else f"{where}.{named[1]}"
        return FieldProblem(name, "is not known here" if "unknown" in reason else "is missing")
    if "matching regex" in reason:
        reason = "has characters that are not allowed here, or is too long"
    return FieldProblem(where or str(extra.get("source", "body")), reason.replace("`", ""))


def _problem(
    status: int, code: str, detail: str, what_to_do: str, errors: tuple[FieldProblem, ...] = ()
) -> Problem:
    return Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        code=code,
        detail=detail,
        what_to_do=what_to_do,
        errors=errors,
    )

"""Voice over HTTP: `/ivr/v1/calls`, JSON or a posted form in, small flat JSON out (IVR-1…3).

A caller waits on the line, so an answer is never late: when the books have not decided in time, an
offer or a consent is refused safely, and everything else is told to come again.  What was decided
too late is let go of by supervision, because the platform goes on as if it had been refused.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from litestar import Request as HttpRequest
from litestar import get, post
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody
from litestar.params import FromPath, JSONBody, PathParameter
from litestar.status_codes import HTTP_200_OK, HTTP_409_CONFLICT

from ivr import calls
from ivr.calls import (
    Answered,
    BadField,
    CallAnswer,
    CallView,
    Charged,
    Consent,
    Ended,
    Granted,
    Offer,
    Progress,
)
from telcod.errors import KeyReused, Refusal, TelcodError, Unavailable
from telcod.msisdn import NumberError
from telcod.types import Answer, Request
from telcod.web.auth import SCOPES, Caller
from telcod.web.gate import note
from telcod.web.open_routes import backend_of
from telcod.web.ports import Backend
from telcod.web.problems import MEDIA_TYPE, PROBLEMS, Problem
from telcod.web.scopes import Scope
from telcod.web.staff_requests import Refused, checked

FIELDS_MAX: Final = 32
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"

T = TypeVar("T")


class FlatRequest(HttpRequest[Any, Caller, Any]):
    """A request whose body is a flat object, as JSON or as a form; the routes see no difference."""

    async def json(self) -> Any:
        """The fields of the body.

        Raises:
            Refused: It is neither, or a form that names a field twice.
        """
        body = await self.body()
        kind = self.headers.get("content-type", "").lower()
        # Some post JSON under a form's name because their tool does so; no form begins like that.
        if "json" in kind or body.lstrip().startswith(b"{"):
            return await super().json()
        return form_fields(body)


def form_fields(body: bytes) -> dict[str, str]:
    """The fields of a posted form; an empty one counts as left out, as a dialplan has it.

    Raises:
        Refused: It is no form, or names a field twice.
    """
    try:
        pairs = parse_qsl(
            body.decode(),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=FIELDS_MAX,
        )
    except ValueError as error:
        raise Refused(Refusal.MALFORMED, "the body is neither JSON nor a form") from error
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in fields:
            field = name if name.strip() else "body"
            raise Refused(Refusal.MALFORMED, "is given twice", field=field)
        fields[name] = value
    return {name: value for name, value in fields.items() if value}


class OverProblem(Problem, frozen=True, kw_only=True):
    """When the call is over: what it came to."""

    charged_vnd: int = 0
    billed_seconds: int = 0


@dataclass
class _FlatOperation(Operation):
    """An operation whose body may come as a form as well as in JSON."""

    def __post_init__(self) -> None:
        body = self.request_body
        if isinstance(body, RequestBody) and JSON in body.content:
            body.content[FORM] = OpenAPIMediaType(schema=body.content[JSON].schema)


CallId = Annotated[str, PathParameter(description="The platform's own id of the call.")]
PLATFORMS: Final = (Scope.IVR, Scope.ADMIN)
_FOR_PLATFORMS: Final = {SCOPES: PLATFORMS}
_COMMON: Final[dict[str, Any]] = {
    "tags": ["ivr"],
    "opt": _FOR_PLATFORMS,
    "request_class": FlatRequest,
    "operation_class": _FlatOperation,
    "responses": {
        **PROBLEMS,
        HTTP_409_CONFLICT: ResponseSpec(
            OverProblem, generate_examples=False, description="Conflict", media_type=MEDIA_TYPE
        ),
    },
}
_POST: Final[dict[str, Any]] = {**_COMMON, "status_code": HTTP_200_OK}


@post("/ivr/v1/calls", summary="Somebody dials", **_POST)
async def offer(request: FlatRequest, data: JSONBody[Offer]) -> CallAnswer:
    """Says whether to connect, to ask, to announce, or to refuse.

    The same id again is told what stands.
    """
    caller = caller_of(backend_of(request), data)
    said = request_of(lambda: calls.offer(data, platform=request.auth.name, caller=caller))
    return await decided(request, said)


@post("/ivr/v1/calls/{call_id:str}/consent", summary="B was asked", **_POST)
async def consent(request: FlatRequest, call_id: CallId, data: JSONBody[Consent]) -> CallAnswer:
    """A key, or what came instead of one.  Silence is never consent."""
    said = request_of(lambda: calls.consent(call_id, data, platform=request.auth.name))
    return await decided(request, said)


@post("/ivr/v1/calls/{call_id:str}/answered", summary="The two talk", **_POST)
async def answered(
    request: FlatRequest, call_id: CallId, data: JSONBody[Answered | None] = None
) -> Granted:
    """Talk is counted from here, not from the moment B picked up to be asked."""
    body = data or Answered()
    said = request_of(lambda: calls.answered(call_id, body, platform=request.auth.name))
    return await _told(request, said, Granted)


@post("/ivr/v1/calls/{call_id:str}/progress", summary="They go on talking", **_POST)
async def progress(request: FlatRequest, call_id: CallId, data: JSONBody[Progress]) -> Granted:
    """Gives more time while there is money.  Report well before `max_seconds` is over."""
    said = request_of(lambda: calls.progress(call_id, data, platform=request.auth.name))
    return await _told(request, said, Granted)


@post("/ivr/v1/calls/{call_id:str}/ended", summary="The call is over", **_POST)
async def ended(
    request: FlatRequest, call_id: CallId, data: JSONBody[Ended | None] = None
) -> Charged:
    """Charges what was talked.  Also for a call that never came so far."""
    body = data or Ended()
    said = request_of(lambda: calls.ended(call_id, body, platform=request.auth.name))
    note(request.scope, cause=body.cause)
    return await _told(request, said, Charged)


@get("/ivr/v1/calls/{call_id:str}", summary="How a call stands", **_COMMON)
async def show(request: FlatRequest, call_id: CallId) -> CallView:
    """Of the calls that this token's platform has offered."""
    said = request_of(lambda: calls.show(call_id, platform=request.auth.name))
    return await _told(request, said, CallView)


@post("/ivr/v1/calls/{op:str}", opt=_FOR_PLATFORMS, include_in_schema=False)
async def report_nothing(op: FromPath[str]) -> None:
    """A platform that lost its id posts to `/ivr/v1/calls//ended`: no such call, no harm (IVR-3).

    Raises:
        Refused: Always.
    """
    raise Refused(Refusal.NOT_FOUND, f"there is no call without an id that could have {op}")


@get("/ivr/v1/calls", opt=_FOR_PLATFORMS, include_in_schema=False)
async def show_nothing() -> None:
    """The same for a look at a call without an id.

    Raises:
        Refused: Always.
    """
    raise Refused(Refusal.NOT_FOUND, "there is no call without an id")


ROUTES: Final = (offer, consent, answered, progress, ended, show, report_nothing, show_nothing)


def caller_of(backend: Backend, said: Offer) -> int:
    """A as a number; 0 when the address is none of this country's."""
    number = backend.parse_number(said.caller)
    return 0 if isinstance(number, NumberError) else number


def request_of(make: Callable[[], Request]) -> Request:
    """What the platform said as a request.

    Raises:
        Refused: A field is wrong; nothing was done.
    """
    try:
        return make()
    except BadField as error:
        refusal = Refusal.NOT_FOUND if error.missing else Refusal.MALFORMED
        raise Refused(refusal, f"{error.field} {error}", field=error.field) from error


async def decided(request: HttpRequest[Any, Caller, Any], said: Request) -> CallAnswer:
    """See `decide`."""
    wait_s = request.app.state.limits.answer_wait_s
    return await decide(backend_of(request), said, request.scope, wait_s=wait_s)


async def _told(request: FlatRequest, said: Request, shape: type[T]) -> T:
    wait_s = request.app.state.limits.answer_wait_s
    return await tell(backend_of(request), said, request.scope, shape, wait_s=wait_s)


async def decide(backend: Backend, said: Request, scope: Any, *, wait_s: float) -> CallAnswer:
    """What is to be done with the call; a refusal when nobody can say so in time.

    Args:
        backend: The daemon.
        said: What the platform said.
        scope: The HTTP request's, for its line in the log.
        wait_s: How long the books may take, in seconds.

    Raises:
        Refused: The call is unknown, over, or not so far.
    """
    return decision(backend, said, await _result(backend, said, wait_s), scope)


def decision(
    backend: Backend, said: Request, result: Answer | TelcodError, scope: Any
) -> CallAnswer:
    """As `decide`, of what the books answered, or why they did not."""
    try:
        told = told_of(said, result, scope, CallAnswer)
    except (Refused, KeyReused):
        raise
    except TelcodError as error:
        note(scope, action="refuse", reason=str(error))
        return calls.safe_refusal(backend.prompts)
    note(scope, action=told.action, reason=told.reason)
    return told


async def tell(backend: Backend, said: Request, scope: Any, shape: type[T], *, wait_s: float) -> T:
    """Let the books answer, but not for ever.  Arguments as for `decide`.

    Raises:
        Refused: The call is unknown, over, or not so far.
        Unavailable: They have not in time; what they do later stands, and supervision ends it.
    """
    return told_of(said, await _result(backend, said, wait_s), scope, shape)


def told_of(said: Request, result: Answer | TelcodError, scope: Any, shape: type[T]) -> T:
    """As `tell`, of what the books answered, or why they did not."""
    note(scope, call=said.args[0])
    if isinstance(result, TelcodError):
        raise result
    return msgspec.convert(_passed(result), shape)


async def _result(backend: Backend, said: Request, wait_s: float) -> Answer | TelcodError:
    try:
        async with asyncio.timeout(wait_s):
            return await backend.submit(said)
    except TimeoutError:
        what_to_do = "Send the same again in a moment."
        return Unavailable("the books did not answer in time", what_to_do=what_to_do)
    except TelcodError as error:
        return error


def _passed(answer: Answer) -> Any:
    """The data of an answer that the call could take.

    Raises:
        Refused: The call is unknown, over, or not so far.
        TelcodError: The handler failed; the request was set aside.
    """
    match answer.outcome:
        case "call.unknown":
            raise Refused(Refusal.NOT_FOUND, "no call of this platform has this id")
        case "call.over":
            charged = answer.data or {}
            raise Refused(Refusal.CONFLICT, "the call is over", members=charged)
        case "call.wrong_order":
            raise Refused(
                Refusal.CONFLICT,
                "the call is not so far: B is still being asked",
                what_to_do="Report the consent first.",
            )
        case _:
            return checked(answer)

"""USSD over HTTP: `/ussd/v1/sessions/{session_id}`, a step in, a screen out, both JSON (USSD-1).

Somebody looks at his phone meanwhile, so an answer is never late: when the books have not decided
in time the gateway is told to come again, and the same step again has one effect (USSD-3).
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import msgspec
from litestar import Request as HttpRequest
from litestar import delete, post
from litestar.openapi import ResponseSpec
from litestar.params import JSONBody, PathParameter
from litestar.status_codes import HTTP_200_OK, HTTP_204_NO_CONTENT, HTTP_409_CONFLICT

from telcod.errors import Refusal, TelcodError, Unavailable
from telcod.msisdn import NumberError
from telcod.types import Answer, Request
from telcod.web.auth import SCOPES, Caller
from telcod.web.gate import note
from telcod.web.open_routes import backend_of
from telcod.web.ports import Backend
from telcod.web.problems import MEDIA_TYPE, PROBLEMS, Problem
from telcod.web.scopes import Scope
from telcod.web.staff_requests import Refused
from ussd.steps import BadStep, Shown, Step, end_request, shown, step_request

GATEWAYS: Final = (Scope.USSD, Scope.ADMIN)

UssdRequest = HttpRequest[Any, Caller, Any]


class WrongStepProblem(Problem, frozen=True, kw_only=True):
    """When a step is out of turn: the one that is next."""

    step: int = 0


SessionId = Annotated[str, PathParameter(description="The gateway's own id of the dialogue.")]
_COMMON: Final[dict[str, Any]] = {
    "tags": ["ussd"],
    "opt": {SCOPES: GATEWAYS},
    "responses": {
        **PROBLEMS,
        HTTP_409_CONFLICT: ResponseSpec(
            WrongStepProblem,
            generate_examples=False,
            description="Conflict",
            media_type=MEDIA_TYPE,
        ),
    },
}
_PATH: Final = "/ussd/v1/sessions/{session_id:str}"


@post(_PATH, summary="A step of a dialogue", status_code=HTTP_200_OK, **_COMMON)
async def step(request: UssdRequest, session_id: SessionId, data: JSONBody[Step]) -> Shown:
    """Says what the phone shows, and whether it ends there.

    The same step again gets the same answer.
    """
    platform = request.auth.name
    asked = asked_of(backend_of(request), session_id, data, platform=platform)
    return await show(backend_of(request), asked, request.scope, wait_s=wait_s_of(request))


@delete(_PATH, summary="A dialogue is over", status_code=HTTP_204_NO_CONTENT, **_COMMON)
async def end(request: UssdRequest, session_id: SessionId) -> None:
    """For what the phone or the network broke off.  What ended by its last screen needs no word."""
    asked = request_of(lambda: end_request(session_id, platform=request.auth.name))
    checked(await tell(backend_of(request), asked, request.scope, wait_s=wait_s_of(request)))


ROUTES: Final = (step, end)


def wait_s_of(request: UssdRequest) -> float:
    """How long the books may take, in seconds."""
    wait_s: float = request.app.state.limits.answer_wait_s
    return wait_s


def asked_of(backend: Backend, session_id: str, said: Step, *, platform: str) -> Request:
    """The request of a step.

    Raises:
        Refused: A field is wrong; nothing was done.
    """
    number = backend.parse_number(said.msisdn)
    sender = 0 if isinstance(number, NumberError) else number
    return request_of(lambda: step_request(session_id, said, platform=platform, sender=sender))


def request_of(make: Callable[[], Request], called: Mapping[str, str] | None = None) -> Request:
    """What the gateway said as a request.

    Args:
        make: Checks and makes it.
        called: What the gateway calls our fields, if other than we do.

    Raises:
        Refused: A field is wrong; nothing was done.
    """
    try:
        return make()
    except BadStep as error:
        field = (called or {}).get(error.field, error.field)
        raise Refused(Refusal.MALFORMED, f"{field} {error}", field=field) from error


async def show(backend: Backend, asked: Request, scope: Any, *, wait_s: float) -> Shown:
    """What the phone shows after a step.

    Args:
        backend: The daemon.
        asked: The step.
        scope: The HTTP request's, for its line in the log.
        wait_s: How long the books may take, in seconds.

    Raises:
        Refused: The session is unknown, or the step is not its next one.
        Unavailable: The books have not answered in time; the same step may be sent again.
    """
    return screen_of(asked, await _result(backend, asked, wait_s), scope)


def screen_of(asked: Request, result: Answer | TelcodError, scope: Any) -> Shown:
    """As `show`, of what the books answered, or why they did not."""
    screen = shown(checked(_told(asked, result, scope)))
    note(scope, action=screen.action)
    return screen


async def tell(backend: Backend, asked: Request, scope: Any, *, wait_s: float) -> Answer:
    """Let the books answer, but not for ever.  Arguments as for `show`.

    Raises:
        Unavailable: They have not in time.
    """
    return _told(asked, await _result(backend, asked, wait_s), scope)


def _told(asked: Request, result: Answer | TelcodError, scope: Any) -> Answer:
    note(scope, session=asked.args[0])
    if isinstance(result, TelcodError):
        raise result
    return result


async def _result(backend: Backend, asked: Request, wait_s: float) -> Answer | TelcodError:
    try:
        async with asyncio.timeout(wait_s):
            return await backend.submit(asked)
    except TimeoutError:
        what_to_do = "Send the same again in a moment."
        return Unavailable("the books did not answer in time", what_to_do=what_to_do)
    except TelcodError as error:
        return error


def checked(answer: Answer) -> Answer:
    """An answer that the session could take.

    Raises:
        Refused: The session is unknown, or the step is not its next one.
    """
    match answer.outcome:
        case "ussd.unknown":
            raise Refused(Refusal.NOT_FOUND, "this gateway has no session of this id")
        case "ussd.wrong_step":
            raise Refused(
                Refusal.CONFLICT,
                "the session is at another step, or is somebody else's",
                what_to_do="Go on with the step that is told here.",
                members=msgspec.to_builtins(answer.data or {}),
            )
        case _:
            return answer

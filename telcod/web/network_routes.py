"""`/network/v1`: what the network tells: a call that failed, money that came in, a subscriber as he
is now (NET-1, NET-2).
"""

from typing import Annotated, Any, Final

from litestar import Request, post, put
from litestar.openapi.spec import Example
from litestar.params import JSONBody, PathParameter
from litestar.status_codes import HTTP_200_OK, HTTP_202_ACCEPTED

from telcod import network_ops
from telcod.network import (
    Accepted,
    CallFailed,
    SubscriberPut,
    SubscriberTaken,
    ToppedUp,
    TopUp,
)
from telcod.network_ops import Door
from telcod.types import Answer
from telcod.types import Request as Asked
from telcod.web.auth import SCOPES, Caller
from telcod.web.gate import note
from telcod.web.open_routes import backend_of
from telcod.web.problems import PROBLEMS
from telcod.web.scopes import Scope

CallerRequest = Request[Any, Caller, Any]

_COMMON: Final[dict[str, Any]] = {
    "tags": ["network"],
    "opt": {SCOPES: (Scope.NETWORK, Scope.ADMIN)},
    "responses": PROBLEMS,
}

Number = Annotated[
    str,
    PathParameter(
        description="A number in any accepted form.",
        max_length=40,
        examples=[Example(value="0903123456"), Example(value="84903123456")],
    ),
]


@post(
    "/network/v1/call-failed",
    summary="A call failed",
    status_code=HTTP_202_ACCEPTED,
    **_COMMON,
)
async def call_failed(request: CallerRequest, data: JSONBody[CallFailed]) -> Accepted:
    """The caller may get a hint that the one called can pay.  The same `event_id` does nothing."""
    return await network_ops.call_failed(data, _door(request))


@post("/network/v1/topups", summary="Money came in", status_code=HTTP_200_OK, **_COMMON)
async def top_up(request: CallerRequest, data: JSONBody[TopUp]) -> ToppedUp:
    """A package that waits for money is tried again at once.  The same `event_id` adds nothing."""
    return await network_ops.top_up(data, _door(request))


@put("/network/v1/subscribers/{msisdn:str}", summary="A subscriber as he is now", **_COMMON)
async def put_subscriber(
    request: CallerRequest, msisdn: Number, data: JSONBody[SubscriberPut]
) -> SubscriberTaken:
    """What is left out stays as it is.  `closed` takes package, lists, password and settings away;
    a number that comes back is a new subscriber.
    """
    return await network_ops.put_subscriber(msisdn, data, _door(request))


ROUTES: Final = (call_failed, top_up, put_subscriber)


def _door(request: CallerRequest) -> Door:
    backend = backend_of(request)

    async def submit(asked: Asked) -> Answer:
        answer = await backend.submit(asked)
        note(request.scope, outcome=answer.outcome)
        return answer

    return Door(submit, backend.parse_number, request.auth.actor)

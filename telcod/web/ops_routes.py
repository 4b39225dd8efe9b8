"""`/admin/v1`: how the daemon does, for who runs it (CLI-8): its pulse, and traces of links.

A trace holds the texts of people, so it is to be had on the control socket only.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from telcod.smpp.trace import TraceLine
from telcod.web.auth import SCOPES, Caller
from telcod.web.open_routes import backend_of
from telcod.web.ports import Pulse
from telcod.web.problems import PROBLEMS
from telcod.web.scopes import Scope

LINES: Final = "application/x-ndjson"
TRACE_S_MAX: Final = 7 * 86_400
TRACE_PDUS_MAX: Final = 100_000_000

CallerRequest = Request[Any, Caller, Any]

_FOR_ADMIN: Final = {SCOPES: (Scope.ADMIN,)}
_encode: Final = msgspec.json.Encoder().encode


@get(
    "/admin/v1/pulse",
    summary="Counts and latencies",
    tags=["admin"],
    opt=_FOR_ADMIN,
    responses=PROBLEMS,
)
async def pulse(request: CallerRequest) -> Pulse:
    """Counts since the start; two of them make rates."""
    return await backend_of(request).ops.pulse()


@get(
    "/admin/v1/links/{link:str}/trace",
    summary="What passes over a link",
    tags=["admin"],
    opt=_FOR_ADMIN,
    responses=PROBLEMS,
)
async def trace(
    request: CallerRequest,
    link: FromPath[str],
    seconds: Annotated[int | None, QueryParameter(ge=1, le=TRACE_S_MAX)] = None,
    pdus: Annotated[int | None, QueryParameter(ge=1, le=TRACE_PDUS_MAX)] = None,
) -> Stream:
    """One JSON object a line, as it comes, until the caller goes or the given end."""
    lines = backend_of(request).ops.trace(link, seconds=seconds, pdus=pdus)
    # The first one now, so that a refusal is one.
    first = await anext(lines)
    return Stream(_encoded(first, lines), media_type=LINES)


def routes(*, control: bool) -> tuple[HTTPRouteHandler, ...]:
    """The routes of a door; the control socket has one more."""
    return (pulse, trace) if control else (pulse,)


async def _encoded(
    first: TraceLine, lines: AsyncGenerator[TraceLine, None]
) -> AsyncIterator[bytes]:
    async with aclosing(lines):
        yield _encode(first) + b"\n"
        async for line in lines:
            yield _encode(line) + b"\n"

"""Routes that need no token: is it alive, is it ready, its numbers (HTTP-3)."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import Operation
from litestar.status_codes import HTTP_200_OK, HTTP_503_SERVICE_UNAVAILABLE

from telcod.metrics import CONTENT_TYPE
from telcod.types import Answer
from telcod.types import Request as Asked
from telcod.web.ports import Backend

RETRY_AFTER_S: Final = "5"
_MEDIA_TYPE: Final = CONTENT_TYPE.removesuffix("; charset=utf-8")  # the framework adds it


class Health(msgspec.Struct, frozen=True):
    """Whether the process does its work; if not, `broken` says why and it should be restarted."""

    alive: bool
    broken: tuple[str, ...] = ()


class Readiness(msgspec.Struct, frozen=True):
    """Whether it can serve; if not, `missing` says what it lacks."""

    ready: bool
    missing: tuple[str, ...] = ()


AnyRequest = Request[Any, Any, Any]


@dataclass
class OpenOperation(Operation):
    """One that needs no token, though all beside it do: for the OpenAPI page."""

    def __post_init__(self) -> None:
        self.security = []


def backend_of(request: AnyRequest) -> Backend:
    """The daemon that the application was made for."""
    backend: Backend = request.app.state.backend
    return backend


async def ask(request: AnyRequest, asked: Asked) -> Answer:
    """Have the books carry out what a person asked for, and where he asked from (CARE-2).

    Raises:
        TelcodError: See `Backend.submit`.
    """
    where = request.client.host if request.client else ""
    return await backend_of(request).submit(msgspec.structs.replace(asked, where=where))


def _or_503(body: type[msgspec.Struct]) -> dict[int, ResponseSpec]:
    """The same body with another status, for the OpenAPI page."""
    said = ResponseSpec(body, generate_examples=False, description="Service Unavailable")
    return {HTTP_503_SERVICE_UNAVAILABLE: said}


@get(
    "/healthz",
    summary="Whether telcod is alive",
    tags=["open"],
    responses=_or_503(Health),
    sync_to_thread=False,
)
def healthz(request: AnyRequest) -> Response[Health]:
    """200 while the writer works, 503 with the reason when it does not."""
    broken = tuple(backend_of(request).health())
    return _answer(Health(not broken, broken), fine=not broken)


@get(
    "/readyz",
    summary="Whether telcod can serve",
    tags=["open"],
    responses=_or_503(Readiness),
    sync_to_thread=False,
)
def readyz(request: AnyRequest) -> Response[Readiness]:
    """200 when the store can be written and a link is bound, 503 with what is missing."""
    missing = tuple(backend_of(request).ready_lacks())
    return _answer(Readiness(not missing, missing), fine=not missing)


@get(
    "/metrics",
    summary="Numbers for Prometheus",
    tags=["open"],
    media_type=_MEDIA_TYPE,
    sync_to_thread=False,
)
def metrics(request: AnyRequest) -> Response[bytes]:
    """The text format of Prometheus."""
    return Response(
        backend_of(request).metrics.render(), media_type=_MEDIA_TYPE, headers=_NOT_STORED
    )


_NOT_STORED: Final = {"Cache-Control": "no-store"}
ROUTES: Final = (healthz, readyz, metrics)


def _answer(body: Any, *, fine: bool) -> Response[Any]:
    if fine:
        return Response(body, status_code=HTTP_200_OK, headers=_NOT_STORED)
    headers = {**_NOT_STORED, "Retry-After": RETRY_AFTER_S}
    return Response(body, status_code=HTTP_503_SERVICE_UNAVAILABLE, headers=headers)

"""`/admin/v1`: subscriber data in bulk, tokens, backups; the daemon (CLI-4, CLI-6, CLI-7)."""

from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED
from msgspec import Meta

from telcod.bulk import CHUNK_LINES_MAX, SubscriberLine
from telcod.vault import token_hash
from telcod.web import staff_requests
from telcod.web.auth import SCOPES, Caller, TokenBook
from telcod.web.open_routes import ask, backend_of
from telcod.web.ports import Status
from telcod.web.problems import PROBLEMS
from telcod.web.scopes import Scope
from telcod.web.staff_requests import TOKEN_NAME_PATTERN, checked
from telcod.web.tokens import new_token

# A chunk of 500 long lines; on the control socket only, where the peer is trusted with the file.
IMPORT_BYTES_MAX: Final = 4 * 1024 * 1024

CallerRequest = Request[Any, Caller, Any]

_FOR_ADMIN: Final = {SCOPES: (Scope.ADMIN,)}


class Import(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A chunk of the subscriber data."""

    lines: Annotated[tuple[SubscriberLine, ...], Meta(max_length=CHUNK_LINES_MAX)]


class ImportDone(msgspec.Struct, frozen=True):
    """What became of the lines of a chunk."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0


class NewToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token to make."""

    name: Annotated[str, Meta(pattern=TOKEN_NAME_PATTERN)]
    scope: Scope


class TokenMade(msgspec.Struct, frozen=True):
    """The token itself, which is shown this once and never again."""

    name: str
    scope: Scope
    token: str


class TokenView(msgspec.Struct, frozen=True):
    """What is known of a token.  Unix milliseconds; `revoked_at` 0 is in use."""

    name: str
    scope: str
    created_at: int
    revoked_at: int


class TokenRevoked(msgspec.Struct, frozen=True):
    """A token that no longer opens anything."""

    name: str
    outcome: str


class BackupAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new file on the daemon's machine, by its absolute path."""

    path: Annotated[str, Meta(min_length=2, max_length=4_096, pattern=r"^/[^\x00]*\Z")]


class BackupView(msgspec.Struct, frozen=True):
    """A backup that is whole and on the disk."""

    path: str
    size_bytes: int


class ClockConfirmed(msgspec.Struct, frozen=True):
    """Whether the clock had jumped, so that work by the clock had stopped."""

    had_jumped: bool


@get(
    "/admin/v1/status",
    summary="How the daemon is",
    tags=["admin"],
    opt=_FOR_ADMIN,
    responses=PROBLEMS,
)
async def status(request: CallerRequest) -> Status:
    """Links, queue, what waits to be sent, the last commit."""
    return await backend_of(request).status()


@get(
    "/admin/v1/tokens",
    summary="List the tokens",
    tags=["admin"],
    opt=_FOR_ADMIN,
    responses=PROBLEMS,
)
async def tokens(request: CallerRequest) -> list[TokenView]:
    """All of them, the revoked ones too; a token itself is never told again."""
    rows = await backend_of(request).tokens()
    return [TokenView(row.name, row.scope, row.created_at, row.revoked_at) for row in rows]


@post(
    "/admin/v1/tokens",
    summary="Make a token",
    tags=["admin"],
    opt=_FOR_ADMIN,
    responses=PROBLEMS,
    status_code=HTTP_201_CREATED,
)
async def create_token(request: CallerRequest, data: JSONBody[NewToken]) -> TokenMade:
    """A name is used once for ever, so a repeat is refused instead of making a second token."""
    token = new_token()
    asked = staff_requests.create_token(
        data.name, data.scope.value, token_hash(token), actor=request.auth.actor
    )
    checked(await ask(request, asked))
    _book_of(request).forget()
    return TokenMade(data.name, data.scope, token)


@delete(
    "/admin/v1/tokens/{name:str}",
    summary="Revoke a token",
    tags=["admin"],
    opt=_FOR_ADMIN,
    responses=PROBLEMS,
    status_code=HTTP_200_OK,
)
async def revoke_token(request: CallerRequest, name: FromPath[str]) -> TokenRevoked:
    """At once and for ever."""
    asked = staff_requests.revoke_token(name, actor=request.auth.actor)
    done = checked(await ask(request, asked))
    _book_of(request).forget()
    return TokenRevoked(name, str(done["outcome"]))


@post(
    "/admin/v1/backup",
    summary="Write a backup",
    tags=["admin"],
    opt=_FOR_ADMIN,
    responses=PROBLEMS,
    status_code=HTTP_201_CREATED,
)
async def back_up(request: CallerRequest, data: JSONBody[BackupAsked]) -> BackupView:
    """Into a new file, while work goes on; answers when it is whole, synced and checked."""
    written, size_bytes = await backend_of(request).backup(Path(data.path))
    return BackupView(str(written), size_bytes)


@post(
    "/admin/v1/clock/confirm",
    summary="Confirm the clock",
    tags=["admin"],
    opt=_FOR_ADMIN,
    responses=PROBLEMS,
    status_code=HTTP_200_OK,
    sync_to_thread=False,
)
def confirm_clock(request: CallerRequest) -> ClockConfirmed:
    """A person has looked at a wall clock that jumped: what happens by it goes on."""
    return ClockConfirmed(backend_of(request).confirm_clock())


def routes(*, import_bytes_max: int) -> tuple[HTTPRouteHandler, ...]:
    """The routes; the control socket takes larger bodies for the import than the network does."""

    @post(
        "/admin/v1/subscribers/import",
        summary="Take over subscriber data",
        tags=["admin"],
        opt=_FOR_ADMIN,
        responses=PROBLEMS,
        status_code=HTTP_200_OK,
        request_max_body_size=import_bytes_max,
    )
    async def import_lines(request: CallerRequest, data: JSONBody[Import]) -> ImportDone:
        """The same lines again change nothing; balances are only opened, never set."""
        asked = staff_requests.import_lines(data.lines, actor=request.auth.actor)
        return msgspec.convert(checked(await ask(request, asked)), ImportDone)

    return (status, tokens, create_token, revoke_token, back_up, confirm_clock, import_lines)


def _book_of(request: CallerRequest) -> TokenBook:
    book: TokenBook = request.app.state.tokens
    return book

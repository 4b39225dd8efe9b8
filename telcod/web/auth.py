"""Who calls: a bearer token by its hash and scope, or the peer of the control socket (CLI-7).

Whoever may open the control socket (file mode 600) may do anything, and is told apart by the
system's user, not by what he says.  The tokens' table is read again when a token was made or
revoked here, and after a second anyway, in case another daemon did.
"""

from base64 import b64decode
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from telcod.clock import Clock
from telcod.errors import Refusal
from telcod.rows import Token
from telcod.vault import token_hash
from telcod.web.limits import Buckets
from telcod.web.ports import Backend
from telcod.web.scopes import Scope
from telcod.web.staff_requests import Refused

AUTHORIZATION_CHARS_MAX: Final = 300
TOKENS_KNOWN_S: Final = 1.0
SCOPES: Final = "scopes"  # the key of a route's `opt`
# The same: its callers can't send headers, so the parameter `token` does as well; but none of an
# administrator, because addresses end up in the logs of proxies.
QUERY_TOKEN: Final = "query_token"  # noqa: S105  # a key, too
# The same: its callers know user and password only, so the token is taken as the password.
BASIC_TOKEN: Final = "basic_token"  # noqa: S105  # a key, too


class Caller(NamedTuple):
    """Who calls.  `actor` is what the audit log says."""

    name: str
    scope: Scope
    actor: str


class TokenBook:
    """The tokens in use, by hash."""

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._backend: Final = backend
        self._clock: Final = clock
        self._by_hash: dict[str, Token] = {}
        self._read_s: float | None = None
        self._changes = 0

    def forget(self) -> None:
        """Read the table again when the next call comes."""
        self._read_s = None
        self._changes += 1

    async def find(self, token: str) -> Token | None:
        """The row of a token that may be used; None for an unknown or revoked one."""
        now_s = self._clock.monotonic_s()
        if self._read_s is None or now_s - self._read_s > TOKENS_KNOWN_S:
            changes = self._changes
            by_hash = _in_use(await self._backend.tokens())
            if changes == self._changes:  # else a token was made or revoked while we read
                self._by_hash, self._read_s = by_hash, now_s
            return by_hash.get(token_hash(token))
        return self._by_hash.get(token_hash(token))

    def find_known(self, token: str) -> Token | None:
        """As `find`, of what was read within the last seconds; None also when nothing was."""
        now_s = self._clock.monotonic_s()
        if self._read_s is None or now_s - self._read_s > TOKENS_KNOWN_S:
            return None
        # By hash in a dictionary: the time it takes tells nothing of a token.
        return self._by_hash.get(token_hash(token))


class Gatekeeper:
    """Lets a call through to a route, or says why not; leaves the `Caller` in `request.auth`."""

    def __init__(self, tokens: TokenBook, clock: Clock, buckets: Buckets, *, control: bool) -> None:
        self._tokens: Final = tokens
        self._clock: Final = clock
        self._buckets: Final = buckets
        self._control: Final = control

    async def guard(
        self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
    ) -> None:
        """A Litestar guard: runs before the body is read.

        Raises:
            Refused: No or an unknown token, a scope that is not enough, or too many calls.
        """
        scopes: Sequence[Scope] = handler.opt.get(SCOPES, ())
        if not scopes:
            return
        if self._control:
            client = connection.client
            actor = f"cli:{client.host if client else 'unknown'}"
            connection.scope["auth"] = Caller(actor, Scope.ADMIN, actor)
            return
        authorization = connection.headers.get("authorization", "")
        if not authorization and handler.opt.get(QUERY_TOKEN):
            authorization = f"Bearer {connection.query_params.get('token', '')}"
            scopes = [scope for scope in scopes if scope is not Scope.ADMIN]
        if handler.opt.get(BASIC_TOKEN):
            authorization = bearer_of(authorization)
        connection.scope["auth"] = await self.admit(authorization, scopes)

    async def admit(self, authorization: str, scopes: Sequence[Scope]) -> Caller:
        """Who calls with a token that is good for one of these scopes; the call counts.

        Raises:
            Refused: See `guard`.
        """
        return self._admitted(await self._caller(authorization), scopes)

    def admit_known(self, authorization: str, scopes: Sequence[Scope]) -> Caller | None:
        """As `admit`, without waiting; None when only `admit` can tell.

        Raises:
            Refused: See `guard`.
        """
        found = self._tokens.find_known(_token(authorization))
        return self._admitted(_caller(found), scopes) if found is not None else None

    def known(self, authorization: str) -> Caller | None:
        """Whose token it is, if that is known without waiting; the call does not count."""
        try:
            found = self._tokens.find_known(_token(authorization))
        except Refused:
            return None
        return _caller(found) if found is not None else None

    def _admitted(self, caller: Caller, scopes: Sequence[Scope]) -> Caller:
        if caller.scope not in scopes:
            raise Refused(
                Refusal.NOT_PERMITTED,
                f"a token of scope {caller.scope} may not do this",
                what_to_do=f"Use one of scope {' or '.join(scopes)}.",
            )
        if not self._buckets.may_call(caller.name, now_s=self._clock.monotonic_s()):
            raise Refused(Refusal.TOO_OFTEN, "this token is used too often")
        return caller

    async def _caller(self, authorization: str) -> Caller:
        found = await self._tokens.find(_token(authorization))
        if found is None:
            raise Refused(
                Refusal.NOT_AUTHENTICATED,
                "the token is unknown or revoked",
                what_to_do="Make one by `telcod token create`.",
            )
        return _caller(found)


def _token(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or len(authorization) > AUTHORIZATION_CHARS_MAX:
        raise Refused(Refusal.NOT_AUTHENTICATED, "there is no bearer token")
    return token.strip()


def _caller(found: Token) -> Caller:
    return Caller(found.name, Scope(found.scope), f"token:{found.name}")


def bearer_of(authorization: str) -> str:
    """The same as a bearer token, if it is user and password (RFC 7617); the user may be anybody.

    What is no such thing stays as it is, and is refused as any other would be.
    """
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic" or len(authorization) > AUTHORIZATION_CHARS_MAX:
        return authorization
    try:
        decoded = b64decode(credentials.strip(), validate=True).decode()
    except ValueError:
        return authorization
    return f"Bearer {decoded.partition(':')[2]}"


def _in_use(tokens: Sequence[Token]) -> dict[str, Token]:
    return {token.hash: token for token in tokens if not token.revoked_at}

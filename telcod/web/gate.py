"""The outermost layer: refuses what needs no reading, measures, writes one log line per request.

Pure ASGI around the application, so that calls that lead to no route are seen as well.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, Final

import structlog

from telcod.errors import Refusal
from telcod.web.limits import AllowList, Crowd, WebLimits
from telcod.web.page_guard import payer_address
from telcod.web.ports import Backend
from telcod.web.problems import MEDIA_TYPE, encoded
from telcod.web.turns import Turns

if TYPE_CHECKING:
    from telcod.web.auth import Gatekeeper
    from telcod.web.shortcut import Shortcut

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Any, Any, Any], Awaitable[None]]

_log = structlog.stdlib.get_logger(__name__)

# Asked every few seconds by machines: a line for each would drown the others.
_QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_DIGITS_MAX: Final = 18
_SAID: Final = "telcod.said"
AT_ONCE_MAX: Final = 64
"""How many requests of one caller the application has at once; more of them wait."""
AT_A_TIME_MAX: Final = 8
"""How many of them it begins before it looks at others' again."""


def note(scope: Any, **said: object) -> None:
    """Let the one log line of this request say more; what is empty is left out."""
    scope.setdefault(_SAID, {}).update({name: value for name, value in said.items() if value})


class Gate:
    """Wraps the application of one door.

    `crowd`, `turns` and `shortcut_for` are for the protocol, which asks them first (`protocol.py`).
    """

    def __init__(
        self,
        app: Asgi,
        backend: Backend,
        limits: WebLimits,
        *,
        body_bytes_max: int,
        control: bool,
        keeper: "Gatekeeper",
        shortcut: "Shortcut | None" = None,
    ) -> None:
        self._app: Final = app
        self._clock: Final = backend.clock
        self._metrics: Final = backend.metrics
        self._allowed: Final = AllowList(() if control else limits.allow_from)
        named = limits.proxies and not control
        self._proxies: Final = AllowList(limits.proxies) if named else None
        self.body_bytes_max: Final = body_bytes_max
        self._shortcut: Final = shortcut
        most = limits.connections_max
        per_address_max = most if control else limits.connections_per_address_max
        self._keeper: Final = keeper
        self.turns: Final[Turns[Callable[[], None]]] = Turns(
            _call, most=AT_ONCE_MAX, at_a_time=AT_A_TIME_MAX, soon=_soon
        )
        self.crowd: Final = Crowd(most=most, per_address_max=per_address_max)
        self._control: Final = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; see the top of this file."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_s = self._clock.monotonic_s()
        status = 0
        client = scope.get("client")
        if client and self.is_proxy(client):
            scope["client"] = (self._behind(client[0], scope["headers"]), 0)

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            refused = self._refusal(scope)
            if refused is None:
                await self._app(scope, receive, note)
            else:
                await _refuse(*refused, note)
        finally:
            self.answered(scope, status, started_s)

    def now_s(self) -> float:
        """Monotonic seconds, for `answered`."""
        return self._clock.monotonic_s()

    def answered(self, scope: Scope, status: int, began_s: float) -> None:
        """A request has been answered: measure it, and write its line."""
        took_s = self._clock.monotonic_s() - began_s
        self._metrics.answered(status, took_s)
        if scope["path"] not in _QUIET:
            self._say(scope, status, took_s)

    def caller(self, headers: Iterable[tuple[bytes, bytes]], address: str) -> str:
        """Whose turn it is: the name of a token that is known, else the address.

        Nobody is believed by this; the application looks again.
        """
        for name, value in headers:
            if name == b"authorization":
                known = self._keeper.known(value.decode("latin-1"))
                if known is not None:
                    return known.actor
        if self.is_proxy((address, 0)):
            address = self._behind(address, headers)
        return f"address:{address}"

    def is_proxy(self, client: tuple[str, int] | None) -> bool:
        """Whether a connection is one of our own proxies'."""
        return self._proxies is not None and client is not None and self._proxies.admits(client[0])

    def shortcut_for(self, client: tuple[str, int] | None) -> "Shortcut | None":
        """What a connection's busy routes may go by; None if each request is to be looked at."""
        if self.is_proxy(client) and not self._allowed.is_open:
            return None
        return self._shortcut if self.admits(client) else None

    def _behind(self, proxy: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        told = [value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for"]
        return payer_address(proxy, ",".join(told), self._proxies) or proxy

    def admits(self, client: tuple[str, int] | None) -> bool:
        """Whether this address may call at all."""
        return self._control or self._allowed.admits(client[0] if client else "")

    def _refusal(self, scope: Scope) -> tuple[Refusal, str] | None:
        for name, value in scope["headers"]:
            if name == b"content-length" and self._too_large(value):
                return Refusal.TOO_LARGE, f"the body is larger than {self.body_bytes_max} bytes"
        if not self.admits(scope.get("client")):
            return Refusal.NOT_PERMITTED, "this address may not call"
        return None

    def _too_large(self, value: bytes) -> bool:
        if not value.isdigit():
            return False  # the application says what is wrong with it
        return len(value) > _DIGITS_MAX or int(value) > self.body_bytes_max

    def _say(self, scope: Scope, status: int, took_s: float) -> None:
        caller = scope.get("auth")
        _log.info(
            "http.answered",
            method=scope["method"],
            path=scope["path"],
            status=status,
            took_ms=round(took_s * 1_000),
            caller=caller.actor if caller else "",
            **scope.get(_SAID, {}),
        )


def _call(begin: Callable[[], None]) -> None:
    begin()


def _soon(what: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(what)


async def _refuse(refusal: Refusal, detail: str, send: Send) -> None:
    status, body = encoded(refusal, detail)
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),  # what was not read is not to be taken for the next request
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

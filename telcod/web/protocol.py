"""One HTTP connection: uvicorn's protocol, with an end to dawdling, and a way past ASGI.

A request to a busy route is answered here, without a task and without the layers of ASGI; all
others go uvicorn's way.  To uvicorn a busy one is a cycle like its own (`_FastCycle`), so whatever
is pipelined behind it waits as it would behind any other.
"""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from telcod.errors import Overloaded
from telcod.web.one_write import OneWrite
from telcod.web.patience import Part, Patience, Waits
from telcod.web.problems import MEDIA_TYPE, rendered
from telcod.web.sockets import peer_user

if TYPE_CHECKING:
    import asyncio

    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from telcod.web.gate import Gate, Scope
    from telcod.web.shortcut import Fast, Full, Shortcut

CONNECTIONS_BEYOND: Final = 200
"""Who comes when there are too many is told 503; when there are so many more, he is cut without a
word."""
# One read of the loop may bring 256 KiB, of which all but the end may be an earlier body.
HEAD_BYTES_MAX: Final = 320 * 1024
CROWDED_IDLE_S: Final = 1.0
"""How long a connection may ask nothing while another is refused for want of its room."""
FAST_BYTES_MAX: Final = 16 * 1024
"""The longest body of a request to a busy route; a longer one is the framework's to refuse."""

_log = structlog.stdlib.get_logger(__name__)


class _Ignored:
    """Stands for the event by which a task of uvicorn's would be woken: there is no task."""

    def set(self) -> None:
        """Nobody waits."""


_IGNORED: Final = _Ignored()


class _FastCycle:
    """A request to a busy route, as uvicorn's protocol sees the request that it is at."""

    __slots__ = (
        "authorization",
        "body",
        "disconnected",
        "fast",
        "keep_alive",
        "message_event",
        "more_body",
        "response_complete",
    )

    def __init__(self, fast: Fast | Full, authorization: bytes) -> None:
        self.fast: Final = fast
        self.authorization: Final = authorization
        self.body = bytearray()
        self.more_body = True
        self.message_event: Final = _IGNORED
        self.disconnected = False
        self.keep_alive = True
        self.response_complete = False


class _Over:
    """A request that has its answer already, as uvicorn's protocol sees it."""

    response_complete: Final = True
    message_event: Final = _IGNORED


_OVER: Final = _Over()


class Protocol(HttpToolsProtocol):
    """One connection to the TCP port.

    Its configuration's application is a `Gate`.
    """

    _head_bytes = 0
    _in_head = True
    _shortcut: Shortcut | None = None
    _address: str | None = None
    _one_too_many = False
    _gate: Gate

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._patience = Patience()
        self._write = OneWrite(transport)
        super().connection_made(cast("asyncio.Transport", self._write))
        # uvicorn's own limit would refuse everybody once there are too many connections, also those
        # that were there before, and not say when to come again (HTTP-1).
        self._gate = cast("Gate", self.app)
        crowd = self._gate.crowd
        address = self.client[0] if self.client else ""
        if crowd.takes(address, proxy=self._gate.is_proxy(self.client)):
            self._address = address
            self._shortcut = self._gate.shortcut_for(self.client)
        elif len(self.connections) > crowd.most + CONNECTIONS_BEYOND:
            transport.abort()
        else:
            self._one_too_many = True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._address is not None:
            self._gate.crowd.leaves(self._address)
            self._address = None
        super().connection_lost(exc)

    def look(self, waits: Waits, *, now_s: float) -> None:
        """Cut the connection if it has dawdled for too long, or takes room and asks nothing."""
        if self._address is not None and self._gate.crowd.lacks_room(self._address):
            waits = waits._replace(idle_s=min(waits.idle_s, CROWDED_IDLE_S))
        unread_bytes = self.transport.get_write_buffer_size()
        why = self._patience.over(waits, unread_bytes=unread_bytes, now_s=now_s)
        if why:
            # Not `close`, which would wait until the peer has read what it does not read.
            self.transport.abort()
            _log.info("http.cut", reason=why, peer=self.client[0] if self.client else "")

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        self._head_bytes, self._in_head = 0, True
        self._patience.moved(Part.HEAD)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._patience.moved(Part.BODY)
        if self._one_too_many:
            self._refuse()
            return
        fast = self._busy_route() if self._shortcut is not None else None
        if fast is None:
            super().on_headers_complete()
        else:
            self.cycle = cast("Any", fast)

    def on_message_complete(self) -> None:
        self._head_bytes, self._in_head = 0, True
        # Who was answered before his body had ended has his answer already.
        self._patience.moved(Part.IDLE if self.cycle.response_complete else Part.ANSWER)
        super().on_message_complete()
        at = cast("object", self.cycle)
        if isinstance(at, _FastCycle):
            self._carry_out(at)

    def on_response_complete(self) -> None:
        if self._patience.part is Part.ANSWER:
            self._patience.moved(Part.IDLE)
        super().on_response_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """uvicorn's, when it is this caller's turn."""
        caller = self._gate.caller(cycle.scope["headers"], self._address or "")
        self._gate.turns.take(caller, partial(self._begin, caller, cycle, app))

    def _begin(self, caller: str, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        turns = self._gate.turns
        if cycle.disconnected:
            turns.over(caller)  # Who asked has gone, and nothing was done.
            return

        async def served(scope: Any, receive: Any, send: Any) -> None:
            try:
                await app(scope, receive, send)
            finally:
                turns.over(caller)

        super()._start_asgi_task(cycle, served)

    def _refuse(self) -> None:
        """Tell who came when there were too many connections when to come again, and let him go.

        As cheaply as can be: who floods comes again at once.
        """
        self.cycle = cast("Any", _OVER)
        scope = cast("Scope", self.scope)
        scope["method"], scope["path"] = (
            self.parser.get_method().decode(),
            self.url.decode("latin-1"),
        )
        self._gate.answered(scope, HTTPStatus.SERVICE_UNAVAILABLE, self._gate.now_s())
        self._write.write_now(_CROWDED)
        self.transport.close()

    def _busy_route(self) -> _FastCycle | None:
        """The request whose head has just come, if it is an ordinary one to a busy route."""
        shortcut, parser = self._shortcut, self.parser
        at = cast("RequestResponseCycle | None", self.cycle)
        if (
            shortcut is None
            or (at is not None and not at.response_complete)
            or self.flow.write_paused
            or self.expect_100_continue
            or parser.get_method() != b"POST"
            or parser.get_http_version() != "1.1"
            or not parser.should_keep_alive()
            or parser.should_upgrade()
        ):
            return None
        path = self.url.decode("latin-1")
        fast = shortcut.find(path)
        if fast is None or "%" in path or "?" in path or "#" in path:
            return None
        authorization, json, body_bytes = b"", False, FAST_BYTES_MAX + 1
        for name, value in self.headers:
            if name == b"authorization":
                authorization = value
            elif name == b"content-type":
                # The framework reads what calls itself something else.
                json = value == b"application/json"
            elif name == b"content-length" and value.isdigit() and len(value) < len("100000"):
                body_bytes = int(value)
        # What comes in chunks has no length; the framework counts it.
        if not json or body_bytes > min(FAST_BYTES_MAX, self._gate.body_bytes_max):
            return None
        self.scope["method"], self.scope["path"] = "POST", path
        return _FastCycle(fast, authorization)

    def _carry_out(self, cycle: _FastCycle) -> None:
        """Its body has come: have it carried out here, or by the framework."""
        shortcut, gate, scope = self._shortcut, self._gate, cast("Scope", self.scope)
        if shortcut is None:
            raise AssertionError("a busy route without a shortcut")
        began_s = gate.now_s()

        def answered(status: int, body: bytes, kind: str, headers: dict[str, str]) -> None:
            gate.answered(scope, status, began_s)
            cycle.response_complete = True
            if not cycle.disconnected:
                self._write_answer(cycle, status, body, kind, headers)

        if not shortcut.carry_out(
            cycle.fast, cycle.authorization, bytes(cycle.body), scope, answered
        ):
            body = cycle.body
            self.cycle = cast("Any", None)
            super().on_headers_complete()
            super().on_body(bytes(body))
            super().on_message_complete()

    def _write_answer(
        self, cycle: _FastCycle, status: int, body: bytes, kind: str, headers: dict[str, str]
    ) -> None:
        parts = [STATUS_LINE[status]]
        for name, value in self.server_state.default_headers:
            parts += (name, b": ", value, b"\r\n")
        for name_s, value_s in headers.items():
            parts.append(f"{name_s.lower()}: {value_s}\r\n".encode())
        if not cycle.keep_alive:
            parts.append(b"connection: close\r\n")
        parts.append(b"content-type: %b\r\ncontent-length: %d\r\n\r\n" % (kind.encode(), len(body)))
        parts.append(body)
        self._write.write_now(b"".join(parts))
        if not cycle.keep_alive:
            self.transport.close()
        if self.pipeline:
            self.on_response_complete()
            return
        # As uvicorn's, but without a timer for the next request: `look` has an eye on it.
        self.server_state.total_requests += 1
        self._patience.moved(Part.IDLE)


def _crowded() -> bytes:
    """What is answered to who came when there were too many connections."""
    refused = rendered(Overloaded("there are too many connections"), path="", method="")
    fields = {
        "content-type": MEDIA_TYPE,
        "content-length": str(len(refused.body)),
        "connection": "close",
        **{name.lower(): value for name, value in refused.headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return STATUS_LINE[refused.status] + head.encode() + b"\r\n" + refused.body


_CROWDED: Final = _crowded()


class ControlProtocol(Protocol):
    """Tells the application which user of this machine is on the other end."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.client = (peer_user(transport.get_extra_info("socket")), 0)

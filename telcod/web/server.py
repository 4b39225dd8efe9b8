"""uvicorn on a TCP port and on the control socket, inside a loop that somebody else runs.

The sockets are bound before anything is served, so that a port that is taken is said at start; the
control socket is readable and writable by its owner only from the moment it exists.  No signal
handlers: `stop` is called by who has them.
"""

import asyncio
import contextlib
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
import uvicorn
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from telcod.errors import NotStarted, Overloaded
from telcod.web.admin_routes import IMPORT_BYTES_MAX
from telcod.web.app import make_app
from telcod.web.auth import TokenBook
from telcod.web.gate import Asgi, Gate, Receive, Scope, Send
from telcod.web.limits import AllowList, WebLimits
from telcod.web.one_write import OneWrite
from telcod.web.patience import Part, Patience, Waits
from telcod.web.ports import Backend
from telcod.web.problems import MEDIA_TYPE, rendered
from telcod.web.sockets import BACKLOG, control_socket_path, peer_user, tcp_socket, unix_socket

if TYPE_CHECKING:
    import socket

__all__ = ["WebLimits", "WebServer", "control_socket_path"]

LOOK_S: Final = 1.0  # how often is looked for connections that dawdle
# Beyond `connections_max` who asks is told 503; beyond these more he is cut without a word.
CONNECTIONS_BEYOND: Final = 200
STOP_WAIT_S: Final = (
    4  # what is being answered may finish; the whole daemon stops within 10 s (CLI-1)
)
# One read of the loop may bring 256 KiB, of which all but the end may be an earlier body.
HEAD_BYTES_MAX: Final = 320 * 1024


_log = structlog.stdlib.get_logger(__name__)


class WebServer:
    """Serves one daemon.  `bind`, then `run` in a task, then `stop`.

    Args:
        backend: The daemon.
        host: The address to listen on.
        port: The port; 0 takes any free one, told by `port` after `bind`.
        control_socket: The path of the control socket; None is none.
        limits: How much callers may ask.
        dialects: See `make_app`.
        shortcut: Wraps the application of the TCP port, to serve a few busy routes without the
            framework.
        look_s: How often is looked for connections that dawdle; `on_looked` is called after each.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        host: str,
        port: int,
        control_socket: Path | None,
        limits: WebLimits | None = None,
        dialects: Sequence[HTTPRouteHandler] = (),
        shortcut: Callable[[Litestar], Asgi] | None = None,
        look_s: float = LOOK_S,
    ) -> None:
        self._backend: Final = backend
        self._limits: Final = limits or WebLimits()
        self._dialects: Final = tuple(dialects)
        self._shortcut: Final = shortcut
        self._control_socket: Final = control_socket
        self.host: Final = host
        self.port = port
        self._look_s: Final = look_s
        self.on_looked: Callable[[], None] = lambda: None
        self._servers: list[tuple[uvicorn.Server, socket.socket]] = []

    def bind(self) -> None:
        """Take the port and the control socket.

        Raises:
            NotStarted: One of them can't be had; nothing is kept.
        """
        try:
            AllowList(self._limits.allow_from)
        except ValueError as error:
            raise NotStarted(f"http.allow_from: {error}") from error
        tokens = TokenBook(self._backend, self._backend.clock)
        tcp, control = self._server(tokens, control=False), self._server(tokens, control=True)
        tcp_sock = tcp_socket(self.host, self.port)
        self._servers = [(tcp, tcp_sock)]
        try:
            if self._control_socket is not None:
                self._servers.append((control, unix_socket(self._control_socket)))
        except NotStarted:
            tcp_sock.close()
            raise
        self.port = tcp_sock.getsockname()[1]

    async def run(self) -> None:
        """Serve until `stop`."""
        try:
            async with asyncio.TaskGroup() as group:
                tcp, _ = self._servers[0]
                dawdlers = group.create_task(self._cut_dawdlers(tcp), name="http dawdlers")
                serving = [
                    group.create_task(server.serve(sockets=[sock]), name="http")
                    for server, sock in self._servers
                ]
                await asyncio.wait(serving)
                dawdlers.cancel()
        finally:
            for _, sock in self._servers:
                sock.close()
            if self._control_socket is not None:
                self._control_socket.unlink(missing_ok=True)

    def stop(self) -> None:
        """Take no more connections; `run` returns when what is being answered is answered."""
        for server, _ in self._servers:
            server.should_exit = True

    async def _cut_dawdlers(self, server: uvicorn.Server) -> None:
        """Look at the connections of the TCP port now and then, until cancelled."""
        limits = self._limits
        waits = Waits(
            limits.head_wait_s, limits.body_wait_s, limits.idle_wait_s, limits.read_wait_s
        )
        while True:
            await asyncio.sleep(self._look_s)
            now_s = self._backend.clock.monotonic_s()
            for connection in list(server.server_state.connections):
                if isinstance(connection, _Protocol):
                    connection.look(waits, now_s=now_s)
            self.on_looked()

    def _server(self, tokens: TokenBook, *, control: bool) -> uvicorn.Server:
        limits = self._limits
        app = make_app(
            self._backend, control=control, limits=limits, tokens=tokens, dialects=self._dialects
        )
        body_bytes_max = IMPORT_BYTES_MAX if control else limits.body_bytes_max
        inner = app if control or self._shortcut is None else self._shortcut(app)
        gate = Gate(inner, self._backend, limits, body_bytes_max=body_bytes_max, control=control)
        return _Server(
            uvicorn.Config(
                gate,
                http=_ControlProtocol if control else _Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",  # that it starts and stops is said by who starts and stops it
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                limit_concurrency=limits.connections_max,
                timeout_keep_alive=int(max(1, limits.idle_wait_s)),
                timeout_graceful_shutdown=STOP_WAIT_S,
            )
        )


class _Server(uvicorn.Server):
    """Leaves the signals to the composition root."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with an end to how long a head may be, and to dawdling."""

    _head_bytes = 0
    _in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._patience = Patience()
        super().connection_made(OneWrite(transport))  # type: ignore[arg-type]
        # uvicorn's own limit would refuse everybody once there are too many connections, also those
        # that were there before, and not say when to come again (HTTP-1).
        most, self.limit_concurrency = self.limit_concurrency, None
        if most is not None and len(self.connections) > most + CONNECTIONS_BEYOND:
            transport.abort()
        elif most is not None and len(self.connections) > most:
            self.app = _crowded

    def look(self, waits: Waits, *, now_s: float) -> None:
        """Cut the connection if it has dawdled for too long."""
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
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._head_bytes, self._in_head = 0, True
        # Who was answered before his body had ended has his answer already.
        self._patience.moved(Part.IDLE if self.cycle.response_complete else Part.ANSWER)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self._patience.part is Part.ANSWER:
            self._patience.moved(Part.IDLE)
        super().on_response_complete()


async def _crowded(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  # ASGI's.
    """Answer who came when there were too many connections, and let him go."""
    error = Overloaded("there are too many connections")
    refused = rendered(error, path=scope["path"], method=scope["method"])
    headers = {
        "content-type": MEDIA_TYPE,
        "content-length": str(len(refused.body)),
        "connection": "close",
        **{name.lower(): value for name, value in refused.headers.items()},
    }
    fields = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": fields})
    await send({"type": "http.response.body", "body": refused.body})


class _ControlProtocol(_Protocol):
    """Tells the application which user of this machine is on the other end."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.client = (peer_user(transport.get_extra_info("socket")), 0)

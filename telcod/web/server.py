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

import uvicorn
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from telcod.errors import NotStarted
from telcod.web.admin_routes import IMPORT_BYTES_MAX
from telcod.web.app import make_app
from telcod.web.auth import TokenBook
from telcod.web.gate import Asgi, Gate
from telcod.web.limits import AllowList, WebLimits
from telcod.web.ports import Backend
from telcod.web.sockets import BACKLOG, control_socket_path, peer_user, tcp_socket, unix_socket

if TYPE_CHECKING:
    import socket

__all__ = ["WebLimits", "WebServer", "control_socket_path"]

IDLE_S: Final = 30  # a connection without a request is closed after this long
STOP_WAIT_S: Final = (
    4  # what is being answered may finish; the whole daemon stops within 10 s (CLI-1)
)
# One read of the loop may bring 256 KiB, of which all but the end may be an earlier body.
HEAD_BYTES_MAX: Final = 320 * 1024


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
    ) -> None:
        self._backend: Final = backend
        self._limits: Final = limits or WebLimits()
        self._dialects: Final = tuple(dialects)
        self._shortcut: Final = shortcut
        self._control_socket: Final = control_socket
        self.host: Final = host
        self.port = port
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
                for server, sock in self._servers:
                    group.create_task(server.serve(sockets=[sock]))
        finally:
            for _, sock in self._servers:
                sock.close()
            if self._control_socket is not None:
                self._control_socket.unlink(missing_ok=True)

    def stop(self) -> None:
        """Take no more connections; `run` returns when what is being answered is answered."""
        for server, _ in self._servers:
            server.should_exit = True

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
                timeout_keep_alive=IDLE_S,
                timeout_graceful_shutdown=STOP_WAIT_S,
            )
        )


class _Server(uvicorn.Server):
    """Leaves the signals to the composition root."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with an end to how long a head may be."""

    _head_bytes = 0
    _in_head = True

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head:
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        self._head_bytes, self._in_head = 0, True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._head_bytes, self._in_head = 0, True
        super().on_message_complete()


class _ControlProtocol(_Protocol):
    """Tells the application which user of this machine is on the other end."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.client = (peer_user(transport.get_extra_info("socket")), 0)

"""uvicorn on a TCP port and on the control socket, inside a loop that somebody else runs.

The sockets are bound before anything is served, so that a port that is taken is said at start; the
control socket is readable and writable by its owner only from the moment it exists.  No signal
handlers: `stop` is called by who has them.
"""

import asyncio
import contextlib
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import structlog
import uvicorn
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from telcod.errors import NotStarted
from telcod.web.admin_routes import IMPORT_BYTES_MAX
from telcod.web.app import make_app
from telcod.web.auth import TokenBook
from telcod.web.gate import Gate
from telcod.web.limits import AllowList, WebLimits
from telcod.web.patience import Waits
from telcod.web.ports import Backend
from telcod.web.protocol import ControlProtocol, Protocol
from telcod.web.shortcut import Shortcut
from telcod.web.sockets import BACKLOG, control_socket_path, tcp_socket, unix_socket

if TYPE_CHECKING:
    import socket

__all__ = ["WebLimits", "WebServer", "control_socket_path"]

LOOK_S: Final = 1.0  # how often is looked for connections that dawdle
STOP_WAIT_S: Final = (
    4  # what is being answered may finish; the whole daemon stops within 10 s (CLI-1)
)


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
        shortcut: Makes of the application what serves a few busy routes of the TCP port without
            it.
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
        shortcut: Callable[[Litestar], Shortcut] | None = None,
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
        for name in ("allow_from", "proxies"):
            try:
                AllowList(getattr(self._limits, name))
            except ValueError as error:
                raise NotStarted(f"http.{name}: {error}") from error
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
                if isinstance(connection, Protocol):
                    connection.look(waits, now_s=now_s)
            cast("Gate", server.config.app).crowd.looked()
            self.on_looked()

    def _server(self, tokens: TokenBook, *, control: bool) -> uvicorn.Server:
        limits = self._limits
        app = make_app(
            self._backend, control=control, limits=limits, tokens=tokens, dialects=self._dialects
        )
        body_bytes_max = IMPORT_BYTES_MAX if control else limits.body_bytes_max
        shortcut = None if control or self._shortcut is None else self._shortcut(app)
        gate = Gate(
            app,
            self._backend,
            limits,
            body_bytes_max=body_bytes_max,
            control=control,
            keeper=app.state.keeper,
            shortcut=shortcut,
        )
        return _Server(
            uvicorn.Config(
                gate,
                http=ControlProtocol if control else Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",  # that it starts and stops is said by who starts and stops it
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=BACKLOG,
                timeout_keep_alive=int(max(1, limits.idle_wait_s)),
                timeout_graceful_shutdown=STOP_WAIT_S,
            )
        )


class _Server(uvicorn.Server):
    """Leaves the signals to the composition root."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

"""uvicorn for the demo's page, on loopback, inside a loop that somebody else runs."""

import contextlib
from collections.abc import Generator
from typing import TYPE_CHECKING, Final

import uvicorn

from telcod.demo.page import make_app
from telcod.demo.play import Play
from telcod.demo.stage import Stage
from telcod.web.sockets import tcp_socket

if TYPE_CHECKING:
    import socket

HOST: Final = "127.0.0.1"
STOP_WAIT_S: Final = 2


class PageServer:
    """Serves one page: `bind`, then `run` in a task, then `stop`.

    Args:
        port: 0 takes any free one, told by `url` after `bind`.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._sock: socket.socket | None = None
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self._port}/"

    def bind(self) -> None:
        """Take the port.

        Raises:
            NotStarted: Somebody else has it.
        """
        self._sock = tcp_socket(HOST, self._port)
        self._port = self._sock.getsockname()[1]

    async def run(self, play: Play, stage: Stage) -> None:
        """Serve until `stop`."""
        if self._sock is None:
            raise RuntimeError("bind first")
        self._server = _Server(
            uvicorn.Config(
                make_app(play, stage),
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=STOP_WAIT_S,
            )
        )
        try:
            await self._server.serve(sockets=[self._sock])
        finally:
            self._sock.close()

    def stop(self, play: Play) -> None:
        """End the streams, which would never end by themselves, and take no more connections."""
        play.listeners.close()
        if self._server is not None:
            self._server.should_exit = True


class _Server(uvicorn.Server):
    """Leaves the signals to whoever runs the loop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

"""The FastAGI server: a port that Asterisk asks what to do with a call (IVR-5).

FastAGI has no authentication.  Who may ask is a list of networks, and the script's path begins with
a secret: `agi://telcod.example/<secret>/offer`.  The path is never logged.  Whoever may not ask
gets a closed connection and no word, and his dialplan finds nothing set: it connects nobody.
"""

import asyncio
import hmac
import socket
from collections.abc import Sequence
from typing import Final

import structlog

from ivr.agi_line import COMMAND_WAIT_S, HungUp, Line, PeerGone
from ivr.agi_protocol import AgiLost, Environment
from ivr.agi_scripts import SCRIPTS, Script, Service
from ivr.calls import BadField
from telcod.clock import Clock
from telcod.errors import NotStarted
from telcod.web.limits import AllowList

CONNECTIONS_MAX: Final = 2_000  # each is a person who listens to something
READ_BUFFER_BYTES: Final = 64 * 1024
BACKLOG: Final = 256

_log = structlog.stdlib.get_logger(__name__)


class AgiServer:
    """Serves Asterisks.  `bind`, then `run` in a task, then `stop`.

    Args:
        service: What the scripts need of the daemon.
        clock: For how long things took.
        host: The address to listen on.
        port: The port; 0 takes any free one, told by `port` after `bind`.
        secret: What a script's path must begin with; empty is nothing.
        allow_from: The networks that may ask.
        sounds: The folder of our recordings below Asterisk's folder of sounds.
        command_wait_s: How long Asterisk may take for what it does at once.
        connections_max: More than that are closed at once.
    """

    def __init__(
        self,
        service: Service,
        clock: Clock,
        *,
        host: str,
        port: int,
        secret: str,
        allow_from: Sequence[str],
        sounds: str,
        command_wait_s: float = COMMAND_WAIT_S,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        self.host: Final = host
        self.port = port
        self._service: Final = service
        self._clock: Final = clock
        self._secret: Final = secret
        self._allowed: Final = AllowList(allow_from)
        self._sounds: Final = sounds
        self._command_wait_s: Final = command_wait_s
        self._connections_max: Final = connections_max
        self._connections: set[asyncio.Task[None]] = set()
        self._stopping: Final = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._group: asyncio.TaskGroup | None = None

    async def bind(self) -> None:
        """Take the port; who calls before `run` waits.

        Raises:
            NotStarted: It can't be had.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            sock = socket.create_server((self.host, self.port), family=family, backlog=BACKLOG)
        except OSError as error:
            raise NotStarted(
                f"FastAGI can't listen on {self.host}:{self.port}: {error.strerror or error}",
                what_to_do="Stop what listens there, or set another fastagi.port.",
            ) from error
        self.port = sock.getsockname()[1]
        self._server = await asyncio.start_server(
            self._connected, sock=sock, limit=READ_BUFFER_BYTES, start_serving=False
        )

    async def run(self) -> None:
        """Serve until `stop`; what is being said then is cut off: its dialplan ends the call."""
        if self._server is None:
            raise RuntimeError("bind() comes first")
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                await self._server.start_serving()
                await self._stopping.wait()
                self._server.close()
                for task in self._connections:
                    task.cancel()
        finally:
            self._server.close()

    def stop(self) -> None:
        """Take no more connections and end those there are; `run` returns."""
        self._stopping.set()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._group is None or self._stopping.is_set():
            writer.close()
            return
        if len(self._connections) >= self._connections_max:
            _log.warning("agi.refused", reason="too many connections")
            writer.close()
            return
        task = self._group.create_task(self._serve(reader, writer), name="agi")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The edge of one connection: whatever happens, it ends here, and is said in one line."""
        started_s = self._clock.monotonic_s()
        peer = str((writer.get_extra_info("peername") or ("",))[0])
        script, call_id, outcome = "", "", "cut"
        try:
            if not self._allowed.admits(peer):
                outcome = "not_permitted"
                return
            line = Line(reader, writer, sounds=self._sounds, command_wait_s=self._command_wait_s)
            environment = await line.environment()
            call_id = environment.args[0] if environment.args else ""
            name, run = self._script(environment)
            if run is None:
                outcome = "not_permitted"
                return
            script = name
            outcome = await run(self._service, line, environment)
        except HungUp:
            outcome = "hung_up"
        except PeerGone:
            outcome = "peer_gone"
        except (AgiLost, BadField, ValueError) as error:
            outcome = "malformed"
            _log.warning("agi.malformed", peer=peer, reason=str(error))
        except Exception:  # noqa: BLE001  # the edge of one connection
            outcome = "failed"
            _log.exception("agi.failed", script=script)
        finally:
            writer.close()
            _log.info(
                "agi.answered",
                peer=peer,
                script=script,
                call=call_id,
                outcome=outcome,
                took_ms=round((self._clock.monotonic_s() - started_s) * 1_000),
            )

    def _script(self, environment: Environment) -> tuple[str, Script | None]:
        """The script that a path names; none without the secret."""
        secret, _, name = environment.path.rpartition("/")
        knows = hmac.compare_digest(secret.encode(), self._secret.encode())
        return (name, SCRIPTS.get(name)) if knows else ("", None)

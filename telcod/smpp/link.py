"""A configured SMPP link, kept bound for ever: the asyncio driver above `session`.

A link is one transceiver, or a transmitter and a receiver, and whatever the SMSC opens to our
outbind port.  It reconnects by itself; rate and throttle pauses belong to the link and outlive its
connections.  It talks to the rest of the daemon by `LinkEvents` alone.
"""

import asyncio
import itertools
import random
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, assert_never

import msgspec
import structlog

from telcod.smpp.connection import Connection
from telcod.smpp.consts import CommandStatus
from telcod.smpp.counters import Counters
from telcod.smpp.events import (
    BindKind,
    BindRefused,
    Bound,
    Delivered,
    Event,
    LinkDead,
    Malformed,
    OutbindTaken,
    PeerUnbound,
    SubmitDone,
    SubmitUnknown,
    Unbound,
)
from telcod.smpp.link_settings import LinkSettings, plain_address
from telcod.smpp.pace import Pace, reconnect_delay_s
from telcod.smpp.pdu import DataSm, DeliverSm, SubmitSm
from telcod.smpp.session import Session
from telcod.smpp.tap import Tapper
from telcod.smpp.timers import Timers

__all__ = [
    "ConnectionState",
    "Link",
    "LinkEvents",
    "LinkSettings",
    "LinkState",
    "Timers",
    "tls_context",
]

OUTBIND_CONNECTIONS_MAX: Final = 4
"""Connections that the SMSC may hold to our outbind port; more are cut at once."""

_LOG: Final = structlog.get_logger("telcod.smpp.link")


class LinkEvents(Protocol):
    """What a link tells.  Called from the event loop; must be quick and must not raise."""

    def on_deliver(
        self, link: "Link", connection: int, sequence: int, body: DeliverSm | DataSm
    ) -> None:
        """Take a message; answer it by `link.respond`, now or later."""

    def on_submit_done(self, link: "Link", token: Any, status: int, message_id: str) -> None:
        """Take the answer to a submit; after `on_submit_unknown` it is a late one."""

    def on_submit_unknown(self, link: "Link", token: Any) -> None:
        """Take it that a submit got no answer: the SMSC may have the message or not."""

    def on_ready(self, link: "Link") -> None:
        """Take it that there is room again, after `submit` or `can_submit` said no, or a bind."""

    def on_connection(self, link: "Link", connection: int, up: bool) -> None:  # noqa: FBT001  # Fixed.
        """Take it that a connection is bound, or that a bound one is gone.

        When it is gone, the unknown submits have been told before.
        """

    def on_unbound(self, link: "Link", connection: int) -> None:
        """Take it that our unbind was answered: the peer has read all that was written before."""

    def on_malformed(self, link: "Link", command_id: int, reason: str) -> None:
        """Take it that the peer sent nonsense; it has been answered.  `reason` is safe to log."""


class ConnectionState(msgspec.Struct, frozen=True):
    """One connection, for a status page."""

    connection: int
    kind: str
    state: str
    peer_address: str
    outstanding: int
    unanswered: int


class LinkState(msgspec.Struct, frozen=True):
    """A link, for a status page; `pause_s` is the throttle pause in force."""

    name: str
    bound: bool
    connections: tuple[ConnectionState, ...]
    pause_s: float
    last_error: str
    counters: Counters


class _Ended(msgspec.Struct, frozen=True):
    """How one connection went: how long it was bound, and what delay its end demands."""

    bound_s: float = 0.0
    floor_s: float = 0.0


def tls_context(settings: LinkSettings) -> ssl.SSLContext:
    """Make the client context of a link: verifying, against `tls_ca` or the system's authorities.

    Raises:
        OSError: `tls_ca` cannot be read, or holds no certificate.
    """
    context = ssl.create_default_context(cafile=settings.tls_ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.tls_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Link:
    """One link; `run` keeps it, everything else may be called at any time from the event loop.

    Args:
        settings: Where to and how.
        timers: The common timers; the settings' own override them.
        events: Is told everything.
        clock: Monotonic seconds.
        rng: For the jitter of reconnects only.
        ssl_context: Used if the settings ask for TLS; None makes one by `tls_context` at `run`.

    Raises:
        ValueError: A setting does not fit the bind PDU.
    """

    def __init__(
        self,
        settings: LinkSettings,
        timers: Timers,
        events: LinkEvents,
        *,
        rng: random.Random,
        clock: Callable[[], float] = time.monotonic,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.settings: Final = settings
        self.counters: Final = Counters()
        self.last_error = ""
        self._timers = settings.timers(timers)
        self._events = events
        self._clock = clock
        self._rng = rng
        self._ssl = ssl_context
        self._pace = Pace(self._timers, rate_per_s=settings.rate_per_s)
        self._connections: dict[int, Connection] = {}
        self._outbinds: set[int] = set()
        self._outbind_peers: frozenset[str] = frozenset()
        self._ends: dict[int, _Ended] = {}
        self._sender: Connection | None = None
        self._numbers = itertools.count(1)
        self._tasks: list[asyncio.Task[None]] = []
        self._tapper: Tapper | None = None
        self._stopping = False
        self._starved = True
        self._pace_timer: asyncio.TimerHandle | None = None
        self._drained: asyncio.Event | None = None
        for kind in settings.kinds():
            # A setting that no bind can carry must not wait for the first connection to be found.
            Session(settings.bind_settings(kind), self._timers, now=0.0)

    # What one may ask.

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def short_codes(self) -> tuple[str, ...]:
        return self.settings.short_codes

    @property
    def bound(self) -> bool:
        """Whether every connection of the link's own is bound, by an OK bind_resp."""
        kinds = [
            connection.kind
            for number, connection in self._connections.items()
            if connection.is_bound and number not in self._outbinds
        ]
        return len(set(kinds)) == len(self.settings.kinds())

    @property
    def peer_takes_tlvs(self) -> bool:
        """Whether the sending connection is bound to a peer of v3.4 or later."""
        session = None if self._sender is None else self._sender.session
        return session is not None and session.peer_takes_tlvs

    @property
    def state(self) -> LinkState:
        """Return how the link stands now."""
        return LinkState(
            name=self.name,
            bound=self.bound,
            connections=tuple(
                ConnectionState(
                    number,
                    connection.kind.value,
                    session.state.value,
                    connection.peer_address,
                    session.outstanding,
                    session.unanswered,
                )
                for number, connection in self._connections.items()
                if (session := connection.session) is not None
            ),
            pause_s=self._pace.pause_s,
            last_error=self.last_error,
            counters=self.counters,
        )

    def can_submit(self) -> bool:
        """Tell whether `submit` would take a message now; if not, `on_ready` will follow."""
        now = self._clock()
        if self._has_room(now):
            return True
        self._starve(now)
        return False

    # What one may do.

    def submit(self, body: SubmitSm, token: Any) -> bool:
        """Send a message, unless there is no room for it.

        Its end is `on_submit_done` or `on_submit_unknown` with the token, never from within this
        call.  A body with TLVs for a peer that takes none ends with ESME_ROPTPARNOTALLWD.

        Returns:
            False when it was not taken; `on_ready` says when to try again.

        Raises:
            ValueError: The body does not fit a submit_sm; nothing was sent.
        """
        now = self._clock()
        sender = self._sender
        session = None if sender is None or sender.write_paused else sender.session
        if sender is None or session is None or self._stopping:
            self._starve(now)
            return False
        if body.tlvs and not session.peer_takes_tlvs:
            status = int(CommandStatus.ESME_ROPTPARNOTALLWD)
            asyncio.get_running_loop().call_soon(
                self._events.on_submit_done, self, token, status, ""
            )
            return True
        if not session.submit(body, token, now):
            self._starve(now)
            return False
        sender.wake()
        return True

    def respond(
        self, connection: int, sequence: int, status: int, *, data_sm: bool = False
    ) -> bool:
        """Answer a message of `on_deliver`.

        Returns:
            False when that connection is gone, or nothing with that sequence waits on it; then
            nothing was written, and the SMSC will deliver the message again.
        """
        kept = self._connections.get(connection)
        if kept is None or kept.session is None:
            return False
        if not kept.session.respond(sequence, status, is_data_sm=data_sm):
            return False
        kept.wake()
        if self._drained is not None:
            self._check_drained()
        return True

    def cut(self) -> None:
        """Cut all connections at once, whatever is under way or not read yet; they come again."""
        for connection in list(self._connections.values()):
            connection.cut()

    def watch(self, tapper: Tapper | None) -> None:
        """Hand every frame of all connections, those to come too, to taps; None ends it.

        The passwords of binds are painted over before.
        """
        self._tapper = tapper
        for connection in self._connections.values():
            connection.watch(tapper)

    async def run(self) -> None:
        """Keep the link until `stop`, or until cancelled; then every connection has been cut.

        Raises:
            OSError: The settings' `tls_ca` cannot be used.
        """
        if self.settings.tls and self._ssl is None:
            self._ssl = tls_context(self.settings)
        try:
            async with asyncio.TaskGroup() as group:
                if self._stopping:
                    return
                self._tasks = [
                    group.create_task(self._keep(kind), name=f"smpp {self.name} {kind}")
                    for kind in self.settings.kinds()
                ]
                if self.settings.outbind_port:
                    name = f"smpp {self.name} outbind"
                    self._tasks.append(group.create_task(self._keep_outbind(), name=name))
        finally:
            self._tasks = []
            self._cancel_pace_timer()

    async def stop(self, *, drain_s: float) -> None:
        """End the link: nothing new, wait for what is under way, unbind, close; `run` returns.

        Args:
            drain_s: At most so long is waited for answers, ours and the peer's.
        """
        self._stopping = True
        for connection in self._connections.values():
            connection.drain()
        self._drained = asyncio.Event()
        self._check_drained()
        try:
            async with asyncio.timeout(drain_s):
                await self._drained.wait()
        except TimeoutError:
            _LOG.warning("link.drain_cut_short", link=self.name, drain_s=drain_s)
        leaving = list(self._connections.values())
        for connection in leaving:
            connection.unbind()
        for connection in leaving:
            # Bounded: an unbind that is not answered, and bytes that do not leave, are cut.
            await connection.gone.wait()
        for task in self._tasks:
            task.cancel()

    # What the connections say (`connection.Owner`).

    def admits(self, connection: Connection, peer_address: str) -> bool:
        number = connection.number
        if self._stopping:
            self._outbinds.discard(number)
            return False
        if number in self._outbinds and not self._admits_outbind(peer_address):
            self._outbinds.discard(number)
            self.counters.outbinds_refused += 1
            _LOG.warning("link.outbind_refused", link=self.name, peer=peer_address)
            return False
        self._connections[number] = connection
        if self._tapper is not None:
            connection.watch(self._tapper)
        return True

    def handle(self, connection: Connection, event: Event) -> None:
        match event:
            case Delivered():
                self._events.on_deliver(self, connection.number, event.sequence, event.body)
            case SubmitDone():
                self._events.on_submit_done(self, event.token, event.status, event.message_id)
            case SubmitUnknown():
                self._events.on_submit_unknown(self, event.token)
            case Malformed():
                self._events.on_malformed(self, event.command_id, event.reason)
                if event.outcome is not None:
                    self.handle(connection, event.outcome)
            case Bound():
                self._on_bound(connection, event)
            case BindRefused():
                self._on_bind_refused(connection, event)
            case LinkDead():
                self._log_end(connection, f"gave up: {event.reason}")
            case PeerUnbound():
                self._log_end(connection, "the peer unbound")
            case Unbound():
                self._log_end(connection, "unbound")
                self._events.on_unbound(self, connection.number)
            case OutbindTaken():
                _LOG.info("link.outbind_taken", link=self.name, peer_system_id=event.system_id)
            case _:
                assert_never(event)

    def turned(self, connection: Connection) -> None:
        if self._sender is connection and not connection.is_bound:
            self._sender = None
        self._tell_if_ready()
        if self._drained is not None:
            self._check_drained()

    def lost(self, connection: Connection, error: Exception | None) -> None:
        number = connection.number
        if self._connections.pop(number, None) is None:
            return
        self._outbinds.discard(number)
        if self._sender is connection:
            self._sender = None
        if error is not None:
            self._log_end(connection, f"connection lost: {error}")
        if connection.bound_at is not None:
            _LOG.info("link.closed", link=self.name, connection=number, kind=connection.kind)
            self._events.on_connection(self, number, False)  # noqa: FBT003  # The protocol's.
        if self._drained is not None:
            self._check_drained()

    def _on_bound(self, connection: Connection, event: Bound) -> None:
        connection.bound_at = self._clock()
        self.last_error = ""
        _LOG.info(
            "link.bound",
            link=self.name,
            connection=connection.number,
            kind=connection.kind,
            peer=connection.peer_address,
            peer_system_id=event.system_id,
            peer_version=f"0x{event.peer_version:02X}",
        )
        if connection.kind is not BindKind.RECEIVER:
            self._sender = connection
            self._starved = True
        self._events.on_connection(self, connection.number, True)  # noqa: FBT003  # As above.

    def _on_bind_refused(self, connection: Connection, event: BindRefused) -> None:
        already_bound = event.status == CommandStatus.ESME_RALYBND
        if already_bound and connection.number not in self._outbinds:
            self._ends[connection.number] = _Ended(floor_s=self._timers.already_bound_s)
        self._log_end(connection, f"bind refused: command_status 0x{event.status:08X}")

    def _log_end(self, connection: Connection, reason: str) -> None:
        self.last_error = reason
        _LOG.warning(
            "link.ended",
            link=self.name,
            connection=connection.number,
            kind=connection.kind,
            reason=reason,
        )

    # Room.

    def _has_room(self, now: float) -> bool:
        sender = self._sender
        return (
            sender is not None
            and not sender.write_paused
            and not self._stopping
            and sender.session is not None
            and sender.session.has_room(now)
        )

    def _starve(self, now: float) -> None:
        self._starved = True
        self._arm_pace(now)

    def _arm_pace(self, now: float) -> None:
        """Come back when rate or pause allow; every other lack ends by something that is told."""
        wait_s = self._pace.free_at() - now
        if wait_s > 0 and self._pace_timer is None and self._sender is not None:
            loop = asyncio.get_running_loop()
            self._pace_timer = loop.call_later(max(wait_s, 0.001), self._on_pace_timer)

    def _on_pace_timer(self) -> None:
        self._pace_timer = None
        self._tell_if_ready()

    def _tell_if_ready(self) -> None:
        if not self._starved:
            return
        now = self._clock()
        if self._has_room(now):
            self._starved = False
            self._events.on_ready(self)
        else:
            self._arm_pace(now)

    def _cancel_pace_timer(self) -> None:
        if self._pace_timer is not None:
            self._pace_timer.cancel()
            self._pace_timer = None

    def _check_drained(self) -> None:
        sessions = [kept.session for kept in self._connections.values() if kept.session is not None]
        if self._drained is not None and not any(s.outstanding or s.unanswered for s in sessions):
            self._drained.set()

    # Connecting.

    def _connection(self, kind: BindKind, *, by_outbind: bool) -> Connection:
        number = next(self._numbers)
        bind = self.settings.bind_settings(kind)

        def make_session(now: float) -> Session:
            return Session(
                bind,
                self._timers,
                now=now,
                pace=self._pace,
                counters=self.counters,
                awaits_outbind=by_outbind,
            )

        if by_outbind:
            self._outbinds.add(number)
        return Connection(
            self,
            number,
            kind,
            make_session,
            timers=self._timers,
            clock=self._clock,
        )

    async def _keep(self, kind: BindKind) -> None:
        """Connect, wait for the end, wait some more, for ever."""
        failures = 0
        while not self._stopping:
            ended = await self._connect_once(kind)
            settings = self.settings
            delay_s = reconnect_delay_s(
                failures,
                least_s=settings.reconnect_min_s,
                most_s=settings.reconnect_max_s,
                floor_s=ended.floor_s,
                luck=self._rng.random(),
            )
            # A link that is bound and dropped at once must not spin: only one that outlived its
            # own delay starts again from the shortest.
            failures = 0 if ended.bound_s > delay_s else failures + 1
            await asyncio.sleep(delay_s)
            self.counters.reconnects += 1

    async def _connect_once(self, kind: BindKind) -> _Ended:
        """Make one connection and stay until it is gone."""
        settings = self.settings
        connection = self._connection(kind, by_outbind=False)
        try:
            async with asyncio.timeout(self._timers.connect_s):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection,
                    settings.host,
                    settings.port,
                    ssl=self._ssl if settings.tls else None,
                    server_hostname=settings.host if settings.tls else None,
                )
            await connection.gone.wait()
        except (OSError, UnicodeError) as error:  # UnicodeError: a host that is no name in IDNA.
            self.last_error = f"cannot connect: {type(error).__name__} {error}"
            _LOG.warning(
                "link.unreachable",
                link=self.name,
                host=settings.host,
                port=settings.port,
                reason=self.last_error,
            )
        finally:
            await connection.abort()
        bound_s = 0.0 if connection.bound_at is None else self._clock() - connection.bound_at
        floor_s = self._ends.pop(connection.number, _Ended()).floor_s
        return _Ended(bound_s, floor_s)

    # Outbind (v3.4, 2.2.1): the SMSC connects to us and asks to be bound to as receiver.

    async def _keep_outbind(self) -> None:
        """Listen until cancelled; a port that cannot be had is tried again."""
        server: asyncio.Server | None = None
        while server is None:
            try:
                server = await self._listen()
            except OSError as error:
                self.last_error = f"cannot listen for outbind: {error}"
                _LOG.warning("link.outbind_unavailable", link=self.name, reason=self.last_error)
                await asyncio.sleep(self.settings.reconnect_max_s)
        try:
            await server.serve_forever()
        finally:
            server.close()
            for number in list(self._outbinds & self._connections.keys()):
                await self._connections[number].abort()

    async def _listen(self) -> asyncio.Server:
        settings = self.settings
        self._outbind_peers = await self._resolve_outbind_peers()
        server = await asyncio.get_running_loop().create_server(
            lambda: self._connection(BindKind.RECEIVER, by_outbind=True),
            settings.outbind_host,
            settings.outbind_port,
        )
        _LOG.info("link.outbind_listening", link=self.name, port=settings.outbind_port)
        return server

    async def _resolve_outbind_peers(self) -> frozenset[str]:
        """Return who may connect: we answer an outbind with our password, so not just anybody."""
        settings = self.settings
        if settings.outbind_from:
            return frozenset(map(plain_address, settings.outbind_from))
        found = await asyncio.get_running_loop().getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM
        )
        return frozenset(plain_address(str(address[0])) for *_, address in found)

    def _admits_outbind(self, peer_address: str) -> bool:
        held = len(self._outbinds & self._connections.keys())
        # A connection that is gone before it is looked at has no address any more.
        known = peer_address != "" and plain_address(peer_address) in self._outbind_peers
        return known and held < OUTBIND_CONNECTIONS_MAX

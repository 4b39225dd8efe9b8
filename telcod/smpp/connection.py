"""One TCP connection driving one `Session`: bytes to PDUs, timers to calls, events to the owner.

Everything happens in callbacks of the event loop; no task and no future is made per message.  What
is to be written is gathered and written once per turn of the loop.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol, cast

from telcod.smpp.events import BindKind, Event
from telcod.smpp.framing import Framer, FramingLost
from telcod.smpp.session import Session
from telcod.smpp.states import BOUND, State
from telcod.smpp.tap import Ends, FrameTap, Tapper
from telcod.smpp.timers import Timers

WRITE_BYTES_MAX: Final = 1024 * 1024
"""Answers that a peer does not read may pile up to this; then we read no more requests of it."""

GONE_WAIT_S: Final = 1.0
"""How long the loop may take to say that a connection is gone which was cut."""

TIMER_LEAST_S: Final = 0.001
"""The loop's timers tick in milliseconds; a shorter wait would only fire too early again."""


TURN_PDUS_MAX: Final = 256
"""PDUs of one connection in one turn of the loop."""


class Owner(Protocol):
    """Who keeps the connection.  Nothing here may raise."""

    def admits(self, connection: "Connection", peer_address: str) -> bool:
        """Tell whether a new connection may be used at all."""

    def handle(self, connection: "Connection", event: Event) -> None:
        """Take what the session says."""

    def turned(self, connection: "Connection") -> None:
        """Take it that a read, a timer or an unblocked write has been worked off."""

    def lost(self, connection: "Connection", error: Exception | None) -> None:
        """Take it that the connection is gone; its last events have been handled."""


class Connection(asyncio.Protocol):
    """The driver of one session.

    Args:
        owner: Is told everything.
        number: The connection's name for the owner.
        kind: What it binds as.
        make_session: Makes the session once the connection is there; takes the time.
        timers: `unbind_wait_s` bounds how long the last bytes may take to leave.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        owner: Owner,
        number: int,
        kind: BindKind,
        make_session: Callable[[float], Session],
        *,
        timers: Timers,
        clock: Callable[[], float],
    ) -> None:
        self.number: Final = number
        self.kind: Final = kind
        self.gone: Final = asyncio.Event()
        """Set when the connection has been lost and everything about it was told."""
        self.session: Session | None = None
        self.write_paused = False
        self.gone_wait_s = GONE_WAIT_S
        self.bound_at: float | None = None
        """When the bind was accepted; for the owner to set."""
        self.peer_address = ""
        self._owner = owner
        self._make_session = make_session
        self._timers = timers
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._framer = Framer()
        self._tap: FrameTap | None = None
        self._transport: asyncio.Transport | None = None
        self._closing = self._is_cut = False
        self._paused: set[str] = set()
        self._working = False
        self._flush_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    # What the owner does.

    @property
    def is_bound(self) -> bool:
        """Whether the bind was accepted and nobody has unbound."""
        return self.session is not None and self.session.state in BOUND

    def watch(self, tapper: Tapper | None) -> None:
        """Hand a copy of every frame from now on to a tap; None ends it.

        It may be called in the middle of a PDU, but not before the connection is there.
        """
        transport = self._transport
        if tapper is None or transport is None:
            self._tap = None
            return
        own = transport.get_extra_info("sockname") or ("", 0)
        peer = transport.get_extra_info("peername") or ("", 0)
        ends = Ends(self.number, str(own[0]), int(own[1]), str(peer[0]), int(peer[1]))
        self._tap = FrameTap(tapper(ends), begun=self._framer.partial)

    def wake(self) -> None:
        """Have what the session wants to send written in this turn of the loop."""
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def drain(self) -> None:
        """Take no more work; see `Session.drain`."""
        if self.session is not None:
            self.session.drain()

    def unbind(self) -> None:
        """End the session in good order."""
        if self.session is not None:
            self.session.unbind(self._clock())
            self.wake()

    def cut(self) -> None:
        """Cut the connection, if there is one; nothing that came on it is read any more."""
        if self._transport is not None:
            self._closing = self._is_cut = True
            self._transport.abort()

    async def abort(self) -> None:
        """Cut the connection, if there is one, and wait until that has been told."""
        if self._transport is None:
            return
        self.cut()
        try:
            async with asyncio.timeout(self.gone_wait_s):
                await self.gone.wait()
        except TimeoutError:
            # uvloop says nothing of one that it made while connecting was being given up.
            self.connection_lost(None)

    # What the event loop does.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self.peer_address = str(peer[0]) if peer else ""
        if not self._owner.admits(self, self.peer_address):
            self._closing = True
            self._transport.abort()
            return
        self.session = self._make_session(self._clock())
        self.wake()

    def data_received(self, data: bytes) -> None:
        session = self.session
        if session is None or session.state is State.CLOSED or self._is_cut:
            return
        if self._tap is not None:
            self._tap.feed("in", data)
        self._framer.feed(data)
        if not self._working:
            self._work()

    def _work(self) -> None:
        """Work off what was read, `TURN_PDUS_MAX` PDUs in one turn of the loop at most.

        One read may hold thousands; meanwhile no other link, no HTTP request and no committed
        answer would be served.
        """
        self._working = False
        session = self.session
        if session is None or session.state is State.CLOSED or self._is_cut:
            return
        now = self._clock()
        framer, receive, handle = self._framer, session.receive, self._owner.handle
        done = 0
        try:
            for pdu in framer.pdus():
                done += 1
                event = receive(pdu, now)
                if event is not None:
                    handle(self, event)
                if done >= TURN_PDUS_MAX:
                    self._working = True
                    break
        except FramingLost:
            handle(self, session.framing_lost())
        if self._working:
            self._pause("work")
            self._loop.call_soon(self._work)
        else:
            self._resume("work")
            session.note_partial(framer.partial_bytes, progressed=done > 0, now=now)
        self.wake()
        self._owner.turned(self)

    def _pause(self, why: str) -> None:
        """Read no more for a while: there are two reasons, and each ends by itself."""
        if not self._paused and self._transport is not None:
            self._transport.pause_reading()
        self._paused.add(why)

    def _resume(self, why: str) -> None:
        if why in self._paused:
            self._paused.discard(why)
            if not self._paused and self._transport is not None:
                self._transport.resume_reading()

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        self._resume("writing")
        self._owner.turned(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.gone.is_set():
            return
        if exc is None and not self._closing:
            exc = EOFError("the peer closed it without an unbind")
        self._transport = None
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.session is not None:
            for event in self.session.close():
                self._owner.handle(self, event)
        self._owner.lost(self, exc)
        self.gone.set()

    def _flush(self) -> None:
        self._flush_due = False
        transport, session = self._transport, self.session
        if transport is None or session is None or self._closing:
            return
        data = session.data_to_send()
        if data:
            if self._tap is not None:
                self._tap.feed("out", data)
            transport.write(data)
            if self.write_paused and transport.get_write_buffer_size() > WRITE_BYTES_MAX:
                # If the peer never reads again, the unanswered probe ends the link.
                self._pause("writing")
        if session.state is State.CLOSED:
            self._close(transport)
        else:
            self._arm(session)

    def _close(self, transport: asyncio.Transport) -> None:
        self._closing = True
        transport.close()
        # A peer that reads no more would otherwise keep the connection for ever.
        self._set_timer(self._timers.unbind_wait_s, transport.abort)

    def _arm(self, session: Session) -> None:
        """Have the timer fire not later than the session wants; firing earlier does no harm."""
        deadline = session.deadline()
        if deadline is None or (self._timer is not None and self._timer_at <= deadline):
            return
        self._timer_at = deadline
        self._set_timer(deadline - self._clock(), partial(self._on_timer, session))

    def _set_timer(self, wait_s: float, callback: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(wait_s, TIMER_LEAST_S), callback)

    def _on_timer(self, session: Session) -> None:
        self._timer = None
        for event in session.handle_timer(self._clock()):
            self._owner.handle(self, event)
        self.wake()
        self._owner.turned(self)

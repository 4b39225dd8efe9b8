"""Connections without sockets: octets take their time, come in pieces, and are lost with the line.

A `Line` joins two protocols by two `SimTransport`s.  What is written arrives in order, later; what
is under way when a line is cut is lost, and each end learns of it at its own moment.
"""

import asyncio
import contextvars
from typing import Any

LIFE: contextvars.ContextVar = contextvars.ContextVar("life", default=None)
"""The daemon that a callback or a task belongs to."""
HIGH_WATER = 64 * 1024


class Network:
    """Who listens where.

    Args:
        loop: The simulation's.
        rng: The source of chance.

    `latency_s` is how long octets take at most; `piece_chance` how likely a write arrives in
    several pieces.
    """

    def __init__(self, loop, rng):
        self.loop = loop
        self.rng = rng
        self.latency_s = 0.01
        self.piece_chance = 0.1
        self.lines = []
        self._listeners = {}
        self._context = contextvars.copy_context()

    def listen(self, host, port, make_protocol):
        self._listeners[host, port] = make_protocol

    def deafen(self, host, port):
        """Nobody listens there any more; connections stay."""
        self._listeners.pop((host, port), None)

    async def connect(self, make_protocol, host, port):
        """What `create_connection` does.

        Raises:
            ConnectionRefusedError: Nobody listens.
        """
        await self.loop.pause(self.rng.random() * self.latency_s)
        make_peer = self._listeners.get((host, port))
        owner = LIFE.get()
        if make_peer is None or not owner.alive:
            raise ConnectionRefusedError(f"nobody listens at {host}:{port}")
        line = Line(self, make_protocol(), make_peer(), owner)
        line.far.context = self._context
        self.lines.append(line)
        line.open()
        return line.near, line.near.protocol

    def cut(self, owner=None):
        """Cut the lines of an owner, or all."""
        for line in list(self.lines):
            if owner is None or line.owner is owner:
                line.cut()


class Line:
    """One connection; `near` is the end of who connected, `far` the other one."""

    def __init__(self, network, near, far, owner):
        self.owner = owner
        self._network = network
        self.near = SimTransport(network, near)
        self.far = SimTransport(network, far)
        self.near.peer, self.far.peer = self.far, self.near
        self.near.line = self.far.line = self

    def open(self):
        self.near.protocol.connection_made(self.near)
        self.far.protocol.connection_made(self.far)

    def cut(self):
        """Both ends lose it, each at its own moment; what was under way is gone."""
        for end in (self.near, self.far):
            end.lose_soon(ConnectionResetError("cut"))

    def gone(self, end):
        if end.peer.is_lost and self in self._network.lines:
            self._network.lines.remove(self)


class SimTransport(asyncio.Transport):
    """One end."""

    def __init__(self, network, protocol):
        super().__init__()
        self._network = network
        self._loop = network.loop
        self.protocol = protocol
        self.peer: Any = None
        self.line: Any = None
        self.context = contextvars.copy_context()
        self.is_lost = False
        self._losing = False
        self._closing = False
        self._under_way = 0
        self._paused = False
        self._last_at = 0.0

    # -- what protocols do

    def get_extra_info(self, name, default=None):
        return ("192.0.2.1", 1) if name in {"peername", "sockname"} else default

    def is_closing(self):
        return self._closing

    def write(self, data, arrived=None):
        """`arrived`, if given, is called with the time when all of it has been read."""
        if self._closing or self._losing or not data:
            return
        self._under_way += len(data)
        for piece in self._pieces(bytes(data)):
            self._send(piece)
        if arrived is not None:
            self._later(self._tell, arrived)
        if self._under_way > HIGH_WATER and not self._paused:
            self._paused = True
            self.protocol.pause_writing()

    def get_write_buffer_size(self):
        return self._under_way

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass

    def close(self):
        if not self._closing:
            self._closing = True
            self._later(self._finish)

    def abort(self):
        if not self._losing:
            self._closing = True
            self.lose_soon(None, wait_s=0.0)
            self.peer.lose_soon(ConnectionResetError("reset"))

    # -- what the network does

    def lose_soon(self, error, *, wait_s=None):
        """This end learns that the line is gone; until then it knows nothing of it."""
        if self._losing:
            return
        self._losing = True
        if wait_s is None:
            wait_s = self._network.rng.random() * self._network.latency_s
        self._loop.at(wait_s, self._lose, error, context=self.context)

    def _pieces(self, data):
        rng = self._network.rng
        if len(data) < 2 or rng.random() >= self._network.piece_chance:
            return (data,)
        cut = rng.randrange(1, len(data))
        return data[:cut], data[cut:]

    def _later(self, callback, *args):
        """After all that was written before."""
        network = self._network
        now_s = self._loop.time()
        at_s = max(self._last_at + 1e-6, now_s + network.rng.random() * network.latency_s)
        self._last_at = at_s
        self._loop.at(at_s - now_s, callback, *args, context=self.peer.context)

    def _send(self, piece):
        self._later(self._arrive, piece)

    def _arrive(self, piece):
        self._under_way -= len(piece)
        peer = self.peer
        if self._losing or self.is_lost or peer.is_lost or peer._losing:
            return
        if self._paused and self._under_way < HIGH_WATER // 4:
            self._paused = False
            self.protocol.resume_writing()
        if not peer._closing:
            peer.protocol.data_received(piece)

    def _tell(self, arrived):
        peer = self.peer
        if not (self._losing or self.is_lost or peer.is_lost or peer._losing or peer._closing):
            arrived(self._loop.time())

    def _finish(self):
        self.lose_soon(None, wait_s=0.0)
        self.peer.lose_soon(None, wait_s=0.0)

    def _lose(self, error):
        if not self.is_lost:
            self.is_lost = True
            self.protocol.connection_lost(error)
            self.line.gone(self)

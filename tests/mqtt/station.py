"""The books, their writer, and telcod's side of MQTT, without the rest of the daemon.

Time stands still unless the test moves it.  `async with Station(folder, broker) as station:` is
connected when it begins; what a reconnect waits for is short.
"""

import asyncio
import socket
from random import Random
from typing import Any

import msgspec
from structlog.testing import capture_logs

import ivr.mqtt
import ussd.mqtt
from telcod import network_ops
from telcod.engine import Engine
from telcod.mqtt.broker import Broker
from telcod.mqtt.client import Mqtt, tls_context
from telcod.msisdn import parse
from telcod.rows import OUTBOX_EVENT
from telcod.settings import MqttSettings
from telcod.simulator.watch import WAIT_S, Watch
from telcod.storage.readers import SqliteReader
from tests.world import World, shipped_rules

AN, BINH = 84903000001, 84903000002


def settings_of(broker, **more):
    """Where a test's broker is; reconnects are quick."""
    quick = {"reconnect_min_s": 0.02, "reconnect_max_s": 0.1}
    return MqttSettings(**({"url": broker.url} | quick | more))


class Station:
    """Two subscribers with money, and the broker."""

    def __init__(self, folder, broker, *, ops=None, routes=None, queue_max=5_000, **settings):
        rules = msgspec.structs.replace(shipped_rules(), events=True, pushes=True)
        self.world = World(folder / "telcod.db", rules=rules, routes=routes)
        self.watch = Watch()
        self.told = []
        self.confirmed_then = []  # what the broker had acknowledged each time it was reached
        self.engine = Engine(self.world.batcher, queue_max=queue_max)
        self.settings = settings_of(broker, **settings)
        self._broker = broker
        self._ops = ops
        self._folder = folder
        self._tasks: Any = None
        self._committed = asyncio.Event()
        self._reader: Any = None
        self._capture: Any = None
        self.mqtt: Any = None

    # -- the daemon as doors see it

    @property
    def prompts(self):
        return self.world.rules.prompts

    async def submit(self, request):
        return await self.engine.submit(request)

    def parse_number(self, text):
        return parse(text, self.world.rules.old_prefixes)

    # -- life

    async def __aenter__(self):
        self._capture = capture_logs()
        self.logged = self._capture.__enter__()
        self.world.import_(*({"msisdn": number, "balance_vnd": 20_000} for number in (AN, BINH)))
        self.engine.start(asyncio.get_running_loop())
        self.engine.on_batch = lambda _: self._committed.set()
        self._reader = await SqliteReader(self._folder / "telcod.db").__aenter__()
        self._tasks = await asyncio.TaskGroup().__aenter__()
        await self.connect()
        return self

    async def __aexit__(self, *error):
        await self.leave()
        await self._tasks.__aexit__(None, None, None)
        self.rows_at_end = await self.events()
        await self.engine.stop()
        await self._reader.__aexit__(None, None, None)
        self.world.store.close()
        self._capture.__exit__(None, None, None)

    async def connect(self):
        """Go to the broker, as the daemon does when it starts."""
        self.mqtt = Broker(self.settings.gateways, self._connection)
        self.engine.on_events = self.mqtt.wake_events
        reached = len(self.confirmed_then)
        self._running = self._tasks.create_task(self.mqtt.run())
        await self.wait_reached(reached + 1)
        await self.watch.until(lambda: self.mqtt.connected, what="every connection")

    def _connection(self, gateway):
        return Mqtt(
            self.settings,
            self.ops_of(gateway),
            None if gateway else self._reader,
            self.submit,
            self.world.clock,
            Random(1),
            tls=tls_context(self.settings),
            told=self._tell,
            gateway=gateway,
        )

    async def leave(self):
        """Go in good order."""
        self.mqtt.stop()
        await self._running

    def die(self):
        """The connection ends without a word."""
        self.mqtt.everybodys._wire._inner._sock.shutdown(socket.SHUT_RDWR)

    def ops_of(self, gateway):
        backend: Any = self  # as much of one as these doors need
        actor = network_ops.mqtt_actor(gateway)
        if self._ops is not None:
            return self._ops
        return {
            "ussd": ussd.mqtt.ops(backend, platform=actor),
            "ivr": ivr.mqtt.ops(backend, platform=actor),
            "network": network_ops.ops(self.submit, self.parse_number, actor=actor),
        }

    # -- looking

    def _tell(self, line):
        self.told.append(line)
        if line.endswith("is reached"):
            self.confirmed_then.append(self.mqtt.events_confirmed)
        self.watch.changed()

    async def wait_reached(self, times):
        """Wait until the broker was reached so often."""
        await self.watch.until(lambda: len(self.confirmed_then) >= times, what=f"reached {times}x")

    async def wait_lost(self):
        """Wait until it knows that the broker is away."""
        await self.watch.until(lambda: not self.mqtt.connected, what="lost")

    async def wait_confirmed(self, seq):
        """Wait until the books say that the broker has all events up to this one."""
        async with asyncio.timeout(WAIT_S):
            while True:
                self._committed.clear()
                if await self._reader.published() >= seq:
                    return
                await self._committed.wait()

    async def events(self):
        """All events, as committed."""
        return await self._reader.all(OUTBOX_EVENT)

    def logs(self, event):
        """What was logged under this name."""
        return [line for line in self.logged if line["event"] == event]

"""All our connections to the broker: one for everybody, one for each gateway that is named.

What the broker can't hand to us at once waits in a queue that it keeps for each connection, whoever
asks; Mosquitto drops what goes beyond a thousand messages.  So one gateway that floods the topics
of all keeps the others out, before anything has come to us.  A gateway with topics of its own
(`<topics>ussd/request/<gateway>`) fills a queue of its own.  Events and pushes go over the
connection for everybody.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from telcod.clock import Clock
from telcod.mqtt.client import Mqtt
from telcod.mqtt.events import EventReader
from telcod.mqtt.requests import OpsOf
from telcod.settings import MqttSettings
from telcod.types import Answer, Request


class Broker:
    """The broker, as the daemon sees it; what is not said here is said at `Mqtt`.

    Args:
        settings: Where it is, who we are, which gateways have topics of their own.
        ops_of: What can be asked of us, by the gateway whose requests they are; empty: everybody's.
        reader: Where events are; None: none are told.
        submit: How the cursor of events is kept.
        clock: For what expires.
        rng: For the jitter of reconnects.
        tls: See `telcod.mqtt.client.tls_context`.
        told: Gets a line when the broker is reached or lost.
    """

    def __init__(
        self,
        settings: MqttSettings,
        ops_of: OpsOf,
        reader: EventReader | None,
        submit: Callable[[Request], Awaitable[Answer]],
        clock: Clock,
        rng: Random,
        *,
        tls: ssl.SSLContext | None = None,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        def connection(gateway: str, events: EventReader | None) -> Mqtt:
            ops = ops_of(gateway)
            return Mqtt(
                settings, ops, events, submit, clock, rng, tls=tls, told=told, gateway=gateway
            )

        self.everybodys: Final = connection("", reader)
        self.gateways: Final = tuple(connection(name, None) for name in settings.gateways)
        self.where: Final = self.everybodys.where

    @property
    def _all(self) -> tuple[Mqtt, ...]:
        return (self.everybodys, *self.gateways)

    @property
    def connected(self) -> bool:
        """Whether every connection stands."""
        return all(each.connected for each in self._all)

    @property
    def last_error(self) -> str:
        """Why one does not stand, or events are not taken, in one sentence; empty: all is well."""
        return next((each.last_error for each in self._all if each.last_error), "")

    @property
    def events_confirmed(self) -> int:
        """All events up to this number are with the broker."""
        return self.everybodys.events_confirmed

    def wake_events(self) -> None:
        """Events were committed."""
        self.everybodys.wake_events()

    async def publish(self, name: str, payload: bytes, *, expires_in_s: int = 0) -> None:
        """See `Mqtt.publish`.

        Raises:
            BrokerAway: It may not have come.
            BrokerRefused: It will not come.
        """
        await self.everybodys.publish(name, payload, expires_in_s=expires_in_s)

    def stop(self) -> None:
        """End in good order; then `run` returns."""
        for each in self._all:
            each.stop()

    async def run(self) -> None:
        """Keep the connections until `stop`, or until cancelled."""
        async with asyncio.TaskGroup() as group:
            for each in self._all:
                group.create_task(each.run(), name=f"mqtt {each.gateway}".rstrip())

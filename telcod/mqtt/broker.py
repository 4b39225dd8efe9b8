"""All our connections to the broker: one for everybody, one for each gateway that is named.

What the broker can't hand to us at once waits in a queue that it keeps for each connection, whoever
asks; Mosquitto drops what goes beyond a thousand messages.  So one gateway that floods the topics
of all keeps the others out, before anything has come to us.  A gateway with topics of its own
(`<topics>ussd/request/<gateway>`) fills a queue of its own.  Events and pushes go over the
connection for everybody.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from telcod.mqtt.client import Mqtt


class Broker:
    """The broker, as the daemon sees it; what is not said here is said at `Mqtt`.

    Args:
        gateways: Those that have topics of their own.
        connection: Makes the connection of a gateway, or of everybody who has no topics of his own,
            and of events and pushes (an empty name).
    """

    def __init__(self, gateways: Iterable[str], connection: Callable[[str], Mqtt]) -> None:
        self.everybodys: Final = connection("")
        self.gateways: Final = tuple(connection(name) for name in gateways)
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

"""What passes through the simulated SMSC: messages on their way to the ESME, and from it."""

from collections.abc import Generator, Mapping
from typing import Any

import msgspec

from telcod.simulator import smsc_wire as wire
from telcod.simulator.smsc_text import Concat
from telcod.simulator.watch import WAIT_S, Watch


class Sent:
    """A message on its way to the ESME, kept until it is taken, as a real SMSC does.

    `await sent` gives the command_status of the first answer.
    """

    def __init__(
        self, watch: Watch, command: str, fields: Mapping[str, Any], tlvs: tuple[wire.Tlv, ...]
    ) -> None:
        self.command = command
        self.fields = fields
        self.tlvs = tlvs
        self.attempts = 0  # How often it was written to a connection.
        self.statuses: list[int] = []  # Every answer, in order.
        self.settled = False  # Taken, or refused for good, or given up with its connection.
        self._watch = watch

    def __await__(self) -> Generator[Any, None, int]:
        """Wait for the first answer."""
        return self.answered().__await__()

    async def answered(self, count: int = 1, *, wait_s: float = WAIT_S) -> int:
        """Wait for the `count`-th answer and give its command_status.

        Raises:
            TimeoutError: It did not come within `wait_s` seconds.
        """
        what = f"answer {count} to {self.command} {dict(self.fields)}"
        await self._watch.until(lambda: len(self.statuses) >= count, what=what, wait_s=wait_s)
        return self.statuses[count - 1]

    async def taken(self, *, wait_s: float = WAIT_S) -> int:
        """Wait until it need not be sent again, and give the last command_status.

        Raises:
            TimeoutError: It is still being tried after `wait_s` seconds.
        """
        what = f"a final answer to {self.command} {dict(self.fields)}"
        await self._watch.until(
            lambda: self.settled and bool(self.statuses), what=what, wait_s=wait_s
        )
        return self.statuses[-1]


class Submitted(msgspec.Struct, frozen=True):
    """A submit_sm or data_sm received; `status` None means that it was left unanswered."""

    connection: int
    sequence: int
    message_id: str
    status: int | None
    fields: Mapping[str, Any]
    text: str  # Of this part alone.
    concat: Concat | None = None

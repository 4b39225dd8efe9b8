"""One connection of Asterisk: commands out one at a time, their answers in, never for ever.

The scripts (`ivr.agi_scripts`) speak to a channel through a `Line`: they play, wait for keys and
set variables; a channel that hangs up, falls silent or talks nonsense ends them by an exception.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

from ivr.agi_protocol import (
    ANY_KEY,
    OK,
    AgiLost,
    AgiReader,
    Answer,
    Environment,
    Hangup,
    channel_status,
    set_variable,
    stream_file,
    wait_for_digit,
)

READ_BYTES: Final = 4_096
COMMAND_WAIT_S: Final = 5.0  # for what Asterisk does at once
PLAY_WAIT_S: Final = 180.0  # no recording of ours is longer
KEY_SLACK_S: Final = 5.0  # beyond what we let Asterisk wait for a key


class HungUp(Exception):
    """The channel hung up; nothing can be played to it or asked of it any more."""


class PeerGone(Exception):
    """Asterisk closed the connection, or gave no answer in time."""


class NotPlayed(Exception):
    """Asterisk has no such recording: the channel heard nothing of it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Asterisk has no recording {name}")
        self.name: Final = name


class Line:
    """A channel, as scripts see it.

    Args:
        reader: From Asterisk.
        writer: To Asterisk.
        sounds: The folder of our recordings, below Asterisk's folder of sounds.
        command_wait_s: For what Asterisk does at once.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        sounds: str,
        command_wait_s: float = COMMAND_WAIT_S,
    ) -> None:
        self._reader: Final = reader
        self._writer: Final = writer
        self._sounds: Final = sounds
        self._command_wait_s: Final = command_wait_s
        self._agi: Final = AgiReader()
        self._events: deque[Environment | Answer | Hangup] = deque()
        self.hung_up = False

    async def environment(self) -> Environment:
        """What Asterisk says first.

        Raises:
            PeerGone: It did not, in time.
            AgiLost: It said something else.
        """
        event = await self._next(self._command_wait_s)
        if not isinstance(event, Environment):
            raise AgiLost("the environment is missing")
        return event

    async def play(self, files: Sequence[str], *, keys: str = ANY_KEY) -> str:
        """Play recordings one after the other; one of `keys` ends it.  The key, or nothing.

        Raises:
            HungUp: The channel did.
            NotPlayed: There is no such recording.
            PeerGone: There was no answer.
            AgiLost: There was another one than there can be.
        """
        for file in files:
            name = f"{self._sounds}/{file}" if self._sounds else file
            answer = await self._asked(stream_file(name, keys), PLAY_WAIT_S)
            if answer.key:
                return answer.key
            if answer.endpos <= 0:
                # Asterisk says "all is well" of a file that is not there, but played none of it.
                raise NotPlayed(name)
        return ""

    async def wait_key(self, wait_s: int) -> str:
        """Wait for a key; nothing if none came.

        Raises:
            HungUp: The channel did.
            PeerGone: There was no answer.
            AgiLost: There was another one than there can be.
        """
        answer = await self._asked(wait_for_digit(wait_s * 1_000), wait_s + KEY_SLACK_S)
        return answer.key

    async def set(self, name: str, value: object) -> None:
        """Set a variable of the dialplan, also of a channel that hung up.

        Raises:
            PeerGone: There was no answer.
            AgiLost: There was another one than there can be.
        """
        await self._ask(set_variable(name, str(value)), self._command_wait_s)

    async def is_up(self, channel: str) -> bool:
        """Whether there is still a channel of this name.

        Raises:
            HungUp: Our own channel is gone.
            PeerGone: There was no answer.
            AgiLost: There was another one than there can be.
        """
        answer = await self._ask(channel_status(channel), self._command_wait_s)
        if self.hung_up:
            raise HungUp
        return answer.number >= 0

    async def _asked(self, line: bytes, wait_s: float) -> Answer:
        """A command that needs a living channel."""
        if self.hung_up:
            raise HungUp
        answer = await self._ask(line, wait_s, until_hangup=True)
        if answer.number < 0:
            raise HungUp
        return answer

    async def _ask(self, line: bytes, wait_s: float, *, until_hangup: bool = False) -> Answer:
        self._writer.write(line)
        while True:
            event = await self._next(wait_s)
            if isinstance(event, Answer):
                if event.code not in {OK, 511}:
                    raise AgiLost(f"a command was answered with {event.code}")
                return event
            if isinstance(event, Environment):
                raise AgiLost("a second environment")
            self.hung_up = True
            if until_hangup:
                raise HungUp

    async def _next(self, wait_s: float) -> Environment | Answer | Hangup:
        try:
            async with asyncio.timeout(wait_s):
                await self._writer.drain()
                while not self._events:
                    data = await self._reader.read(READ_BYTES)
                    if not data:
                        raise PeerGone
                    self._agi.feed(data)
                    self._events.extend(self._agi.events())
        except (TimeoutError, OSError) as error:
            raise PeerGone from error
        return self._events.popleft()

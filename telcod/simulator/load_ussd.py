"""A load of USSD: a gateway with many phones at once, that measures (scripts/bench).

In a process of its own, as cheap as can be: requests are bytes with a few places to fill, and each
connection carries one dialogue after another, a step at a time, as a gateway does that waits for
the screen.
"""

import random
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from telcod.simulator.load import FIRST_MSISDN
from telcod.simulator.load_calls import Meter, Report, Step, drive, one_after_another

# What people do: the inputs after `*1566#`, and what the step is called that has an effect.
WALKS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("package", ("1", "1")),
    ("list add", ("3", "2", "{number}")),
    ("charges", ("6",)),
)
DIAL: Final = "dial"
WALK: Final = "walk"
OPS: Final = (DIAL, WALK, *(name for name, _ in WALKS))


class _Request(NamedTuple):
    """The bytes around what changes."""

    head: str

    def step(self, session_id: str, body: str) -> bytes:
        return (
            f"POST /ussd/v1/sessions/{session_id} HTTP/1.1\r\n{self.head}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


class Dialogues:
    """The dialogues that phones have, as the bytes that their gateway sends.

    Args:
        host: What telcod is called.
        token: Of scope `ussd`.
        subscribers: How many there are, from the first number on; each dials in turn.
        name: Goes before the sessions' ids.
        seed: For who is put on whose list.
        begin: How many were there before: who dials begins that far on.
    """

    def __init__(
        self, host: str, token: str, subscribers: int, *, name: str, seed: int, begin: int = 0
    ) -> None:
        self._request: Final = _Request(f"Host: {host}\r\nAuthorization: Bearer {token}\r\n")
        self._subscribers: Final = subscribers
        self._name: Final = name
        self._random: Final = random.Random(seed)
        self._made = begin

    def whole(self) -> list[Step]:
        """The next dialogue, from dialling to the leaf that it is about."""
        at = self._made
        name, inputs = WALKS[at % len(WALKS)]
        steps = [self.dial()]
        for step, typed in enumerate(inputs, start=1):
            op = name if step == len(inputs) else WALK
            steps.append(self._step(at, op, step, typed=typed.format(number=self._number(at))))
        return steps

    def dial(self) -> Step:
        """The next phone dials."""
        at = self._made
        self._made += 1
        return self._step(at, DIAL, 0, code='"service_code":"*1566#",')

    def again(self, typed: str) -> Iterator[Step]:
        """One input to each dialogue that has only begun."""
        for at in range(self._made):
            yield self._step(at, WALK, 1, typed=typed)

    def _step(self, at: int, op: str, step: int, *, typed: str = "", code: str = "") -> Step:
        msisdn = FIRST_MSISDN + at % self._subscribers
        body = f'{{"msisdn":"{msisdn}",{code}"input":"{typed}","step":{step}}}'
        session_id = f"{self._name}{at}"
        answer = f'"step":{step + 1}}}'.encode()
        return Step(op, self._request.step(session_id, body), answer, session_id)

    def _number(self, at: int) -> str:
        """Somebody else's."""
        other = self._random.randrange(1, self._subscribers)
        return f"0{(FIRST_MSISDN + (at + other) % self._subscribers) % 10**9:09d}"


async def walk(
    port: int, dialogues: Dialogues, *, connections: int, seconds: float, warm_up_s: float
) -> Report:
    """Whole dialogues, one after another on each connection, for so long."""
    return await one_after_another(
        port, dialogues.whole, OPS, connections=connections, seconds=seconds, warm_up_s=warm_up_s
    )


async def keep_open(
    port: int, dialogues: Dialogues, *, connections: int, count: int
) -> tuple[Report, Report]:
    """Begin so many dialogues and leave them; then a step of each while all are open."""
    opening, walking = Meter(ops=OPS), Meter(ops=OPS)
    left = count

    def take() -> Step | None:
        nonlocal left
        if not left:
            return None
        left -= 1
        return dialogues.dial()

    begun_s = time.perf_counter()
    await drive(port, [take] * connections, opening)
    opened = opening.report(time.perf_counter() - begun_s)
    steps = dialogues.again("1")
    begun_s = time.perf_counter()
    await drive(port, [lambda: next(steps, None)] * connections, walking)
    return opened, walking.report(time.perf_counter() - begun_s)

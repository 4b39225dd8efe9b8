"""A voice platform to play against: it puts calls through telcod's HTTP interface (IVR-1…3).

It knows the interface from its description only, and nothing of telcod's own code.  No sound and no
waiting: what a person would do is said by a `Play`, and how long the two talked is a number.  It
can also behave as platforms at their worst do: lose the end of a call, report it late, say things
twice, or in the wrong order.
"""

import itertools
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

import httpx

WAIT_S: Final = 10.0
ASKED_MAX: Final = 10  # a platform that is asked to ask for ever hangs up
# What a person does instead of pressing a key.
GESTURES: Final = frozenset({"silence", "hangup", "no_answer", "busy", "voicemail"})


class Told(NamedTuple):
    """What telcod said to one report: as fields, and byte by byte."""

    status: int
    body: Mapping[str, Any]
    content: bytes = b""

    def get(self, name: str) -> Any:
        """A field of the answer; None if it has no such one."""
        return self.body.get(name)


class Play(NamedTuple):
    """One call, as people and the platform make it.

    `answers` is what B does at each question, a key or one of `GESTURES`; the last one is repeated.
    `reports` are the seconds of talk that are reported on the way, `talk_s` at the end.  With
    `end` False the end is lost.  Everything from `answered` on is sent `times` times, in an
    order drawn from `shuffle` if that is a number.
    """

    caller: str
    dialled: str
    answers: Sequence[str] = ("1",)
    talk_s: int = 60
    reports: Sequence[int] = ()
    end: bool = True
    times: int = 1
    shuffle: int | None = None


class Played(NamedTuple):
    """How a call went: the platform's id, every report with its answer, and the charge if any."""

    call_id: str
    told: tuple[tuple[str, Told], ...]
    charged_vnd: int | None

    @property
    def action(self) -> str:
        """What telcod said last of connecting the two."""
        decided = [told.get("action") for op, told in self.told if op in {"offer", "consent"}]
        return str(decided[-1])


class SimulatedIvr:
    """A platform; `async with SimulatedIvr(url, token) as ivr:`.

    Args:
        url: Where telcod's HTTP listens.
        token: One of scope `ivr`.
        form: Whether it posts forms, as a dialplan does, instead of JSON.
        name: Goes before its calls' ids.
        transport: How it reaches telcod, instead of by TCP.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        form: bool = False,
        name: str = "call",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._client: Final = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=WAIT_S,
            transport=transport,
        )
        self._form: Final = form
        self._name: Final = name
        self._numbers: Final = itertools.count(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    # -- one report each

    async def offer(self, call_id: str, caller: str, dialled: str, **more: object) -> Told:
        """A dials."""
        said = {"call_id": call_id, "caller": caller, "dialled": dialled, **more}
        return await self.post("/ivr/v1/calls", said)

    async def consent(self, call_id: str, answer: str, **more: object) -> Told:
        """B does something: a key, or one of `GESTURES`."""
        key = {"result": "digit", "digit": answer}
        said = {"result": answer} if answer in GESTURES else key
        return await self.report(call_id, "consent", **said, **more)

    async def answered(self, call_id: str, **more: object) -> Told:
        """The two are bridged."""
        return await self.report(call_id, "answered", **more)

    async def progress(self, call_id: str, used_seconds: object) -> Told:
        """They have talked so long."""
        return await self.report(call_id, "progress", used_seconds=used_seconds)

    async def ended(self, call_id: str, used_seconds: object = None, **more: object) -> Told:
        """They have hung up."""
        said = more if used_seconds is None else {"used_seconds": used_seconds, **more}
        return await self.report(call_id, "ended", **said)

    async def show(self, call_id: str) -> Told:
        """How telcod sees the call."""
        return _told(await self._client.get(f"/ivr/v1/calls/{call_id}"))

    async def report(self, call_id: str, op: str, **said: object) -> Told:
        """Any report of a call."""
        return await self.post(f"/ivr/v1/calls/{call_id}/{op}", said)

    async def post(self, path: str, said: Mapping[str, object]) -> Told:
        """Send fields, in the platform's way."""
        if self._form:
            return _told(await self._client.post(path, data=dict(said)))
        return _told(await self._client.post(path, json=said))

    # -- a whole call

    async def play(self, play: Play, *, call_id: str = "") -> Played:
        """Put a call through, from dialling to the end, as the people of the play do."""
        call_id = call_id or f"{self._name}-{next(self._numbers)}"
        told = [("offer", await self.offer(call_id, play.caller, play.dialled))]
        answers = itertools.chain(play.answers, itertools.repeat(play.answers[-1]))
        for answer in itertools.islice(answers, ASKED_MAX):
            if told[-1][1].get("action") != "ask":
                break
            told.append(("consent", await self.consent(call_id, answer)))
        if told[-1][1].get("action") != "connect":
            return Played(call_id, tuple(told), None)
        for op, used_s in _events(play):
            if op == "answered":
                told.append((op, await self.answered(call_id)))
            elif op == "progress":
                told.append((op, await self.progress(call_id, used_s)))
            else:
                told.append((op, await self.ended(call_id, used_s)))
        charges = [each.get("charged_vnd") for op, each in told if op == "ended"]
        return Played(call_id, tuple(told), charges[-1] if charges else None)


def _events(play: Play) -> list[tuple[str, int]]:
    """What the platform reports of the talk, in the order in which it does."""
    events = [("answered", 0), *(("progress", used_s) for used_s in play.reports)]
    if play.end:
        events.append(("ended", play.talk_s))
    events = [event for event in events for _ in range(play.times)]
    if play.shuffle is not None:
        random.Random(play.shuffle).shuffle(events)
    return events


def _told(response: httpx.Response) -> Told:
    return Told(response.status_code, response.json(), response.content)

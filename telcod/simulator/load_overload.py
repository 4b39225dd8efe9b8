"""The process that floods an edge of telcod, while others ask in good order (`bench_overload.py`).

It is told what to do as one line of JSON, and tells what came of it as another.  Which requests
telcod acknowledged goes into a file, to be looked for in the books.
"""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from telcod.simulator.load import FIRST_MSISDN
from telcod.simulator.load_calls import OPS, Calls, Step
from telcod.simulator.load_open import Phase, Traffic, Wire, offer, recovered_s
from telcod.simulator.load_open_http import OpenHttp
from telcod.simulator.load_open_mqtt import OpenGateway
from telcod.simulator.load_open_smpp import Crowd, OpenSmsc
from telcod.simulator.load_payments import Payments
from telcod.simulator.load_ussd import Dialogues

P = TypeVar("P", bound=asyncio.Protocol)

QUIET_WAIT_S: Final = 30.0
LOOK_S: Final = 0.02
USUAL: Final = "usual"
FLOOD: Final = "flood"
NEIGHBOURS: Final = "neighbours"
OTHERS: Final = "others"
HERE: Final = "127.0.0.1"
ELSEWHERE: Final = "127.0.0.2"
"""Where the others' connections over HTTP come from."""


class Orders(msgspec.Struct, frozen=True):
    """What to flood: the edge, whom, how hard.

    `port` is telcod's, or the broker's; `tokens` are those of the one who floods and of the others.
    `USUAL` is the traffic whose rate is found out, `FLOOD` that of one source; the others come at
    their own rate in all phases.  The last phase is the one after the flood.  `kept` is where it is
    written which requests were acknowledged.
    """

    edge: str
    phases: tuple[Phase, ...]
    subscribers: int
    others_per_s: float
    kept: str
    port: int = 0
    tokens: tuple[str, str] = ("", "")
    sustained_per_s: float = 0.0


Sources = Sequence[tuple[Traffic, Wire]]


class _Stage:
    """What an edge made ready: the sources, and what they know at the end."""

    def __init__(
        self,
        sources: Sources,
        acknowledged: Callable[[], Counter[str]],
        unknown: Callable[[], Counter[str]],
        *,
        sweep: Callable[[], None] = lambda: None,
    ) -> None:
        self.sources: Final = sources
        self.acknowledged: Final = acknowledged
        self.unknown: Final = unknown
        self.sweep: Final = sweep


async def flood(orders: Orders, told: Callable[[list[int]], Awaitable[None]]) -> dict[str, Any]:
    """Carry out orders; what was measured.

    Args:
        orders: See there.
        told: Gets the ports of the SMSCs that telcod is to bind to; it returns when telcod runs.
    """
    async with _EDGES[orders.edge](orders, told) as stage:
        begun_s = time.perf_counter()
        sustained = await offer(
            orders.phases, stage.sources, sustained_per_s=orders.sustained_per_s
        )
        flood_ended_s = begun_s + sum(phase.seconds for phase in orders.phases[:-1])
        await _quiet(stage)
    acknowledged, unknown = stage.acknowledged(), stage.unknown()
    lines = [
        f"{about} {acknowledged[about]} {unknown[about]}\n" for about in acknowledged | unknown
    ]
    await asyncio.to_thread(Path(orders.kept).write_text, "".join(lines), encoding="utf-8")
    return {
        "sustained_per_s": round(sustained, 1),
        "acknowledged": sum(acknowledged.values()),
        "unanswered": sum(traffic.under_way for traffic, _ in stage.sources),
        "phases": [
            {
                "name": phase.name,
                "seconds": phase.seconds,
                **{t.name: t.tallies[at].report(phase.seconds) for t, _ in stage.sources},
            }
            for at, phase in enumerate(orders.phases)
        ],
        "recovered_s": {
            traffic.name: round(
                recovered_s(
                    traffic,
                    ended_s=flood_ended_s,
                    until_s=flood_ended_s + orders.phases[-1].seconds,
                    normal_ms=traffic.tallies[_normal(orders)].at_ms(0.99),
                ),
                2,
            )
            for traffic, _ in stage.sources
            if traffic.per_s
        },
    }


def _normal(orders: Orders) -> int:
    """The phase that the others' usual time is taken from: the one before the flood."""
    return max(0, len(orders.phases) - 3)


async def _quiet(stage: _Stage) -> None:
    """Until everything has its answer, or nobody can expect one any more."""
    until_s = time.perf_counter() + QUIET_WAIT_S
    while any(traffic.under_way for traffic, _ in stage.sources):
        stage.sweep()
        if time.perf_counter() > until_s:
            return
        await asyncio.sleep(LOOK_S)


# -- the edges

_Edge = Callable[
    [Orders, Callable[[list[int]], Awaitable[None]]], AbstractAsyncContextManager[_Stage]
]


def _same(protocol: P) -> P:
    return protocol


def _sum(counters: Iterable[Counter[str]]) -> Counter[str]:
    return sum(counters, Counter[str]())


def _one() -> Iterator[int]:
    return itertools.repeat(FIRST_MSISDN)


def _many(orders: Orders, seed: int) -> Iterator[int]:
    """Anybody but the one who floods, hardly ever the same one twice in a row."""
    chance = random.Random(seed)
    while True:
        yield FIRST_MSISDN + chance.randrange(1, orders.subscribers)


@asynccontextmanager
async def _sms(orders: Orders, told: Callable[[list[int]], Awaitable[None]]) -> Any:
    """One sender floods over one link; others text over the same link, and over another."""
    loop = asyncio.get_running_loop()
    usual, flooding = Traffic(USUAL), Traffic(FLOOD)
    neighbours = Traffic(NEIGHBOURS, per_s=orders.others_per_s)
    others = Traffic(OTHERS, per_s=orders.others_per_s)
    first = OpenSmsc(
        Crowd(usual, _many(orders, 3), patient=False),
        Crowd(flooding, _one(), patient=False),
        Crowd(neighbours, _many(orders, 1), patient=True),
    )
    second = OpenSmsc(Crowd(others, _many(orders, 2), patient=True))
    servers = [
        await loop.create_server(partial(_same, smsc), "127.0.0.1", 0) for smsc in (first, second)
    ]
    await told([server.sockets[0].getsockname()[1] for server in servers])
    await first.bound.wait()
    await second.bound.wait()

    def acknowledged() -> Counter[str]:
        both = first.acknowledged + second.acknowledged
        return Counter({sender.decode(): count for sender, count in both.items()})

    def unknown() -> Counter[str]:
        both = first.unanswered() + second.unanswered()
        return Counter({sender.decode(): count for sender, count in both.items()})

    yield _Stage(
        [(usual, first), (flooding, first), (neighbours, first), (others, second)],
        acknowledged,
        unknown,
    )
    for server in servers:
        server.close()


def _over_http(pieces: Callable[[str, str, int, int], Callable[[], list[Step]]]) -> _Edge:
    """One caller with a token floods; others, with another token, ask at their own rate."""

    @asynccontextmanager
    async def edge(orders: Orders, told: Callable[[list[int]], Awaitable[None]]) -> Any:
        await told([])
        async with asyncio.TaskGroup() as group:
            made: list[tuple[Traffic, OpenHttp]] = []
            first, second = orders.tokens
            for place, (name, token, per_s) in enumerate(
                (
                    (USUAL, second, 0.0),
                    (FLOOD, first, 0.0),
                    (OTHERS, second, orders.others_per_s),
                )
            ):
                begin = place * orders.subscribers // 3
                source = pieces(token, name, orders.subscribers, begin)
                wire = OpenHttp(
                    group,
                    orders.port,
                    source,
                    patient=name == OTHERS,
                    address=ELSEWHERE if name == OTHERS else HERE,
                )
                made.append((Traffic(name, per_s=per_s), wire))
            yield _Stage(
                made,
                lambda: _sum(wire.acknowledged for _, wire in made),
                lambda: _sum(wire.unknown for _, wire in made),
            )
            for _, wire in made:
                wire.hang_up()

    return edge


def _calls(token: str, name: str, subscribers: int, begin: int) -> Callable[[], list[Step]]:
    made = Calls(
        "telcod",
        token,
        subscribers,
        ops=OPS,
        name=name,
        seed=begin,
        begin=begin,
        payers=subscribers // 3,
    )
    return made.call


def _ussd(token: str, name: str, subscribers: int, begin: int) -> Callable[[], list[Step]]:
    return Dialogues("telcod", token, subscribers, name=name, seed=begin, begin=begin).whole


def _pay(token: str, name: str, subscribers: int, begin: int) -> Callable[[], list[Step]]:
    third = subscribers // 3
    return Payments("telcod", token, subscribers, name=name, begin=begin, payers=third).whole


@asynccontextmanager
async def _mqtt(orders: Orders, told: Callable[[list[int]], Awaitable[None]]) -> Any:
    """One gateway floods the broker; another asks at its own rate, on topics of its own."""
    await told([])
    loop = asyncio.get_running_loop()
    made: list[tuple[Traffic, OpenGateway]] = []
    for name, per_s in ((USUAL, 0.0), (FLOOD, 0.0), (OTHERS, orders.others_per_s)):
        traffic = Traffic(name, per_s=per_s)
        phones = _many(orders, len(made))
        gateway = OpenGateway(name, traffic, phones, patient=name == OTHERS)
        await loop.create_connection(partial(_same, gateway), "127.0.0.1", orders.port)
        await gateway.ready.wait()
        made.append((traffic, gateway))

    def sweep() -> None:
        for _, gateway in made:
            gateway.give_up_late()

    yield _Stage(
        made,
        lambda: _sum(gateway.acknowledged for _, gateway in made),
        lambda: _sum(gateway.unknown for _, gateway in made),
        sweep=sweep,
    )
    for _, gateway in made:
        gateway.hang_up()


_EDGES: Final[Mapping[str, _Edge]] = {
    "sms": _sms,
    "calls": _over_http(_calls),
    "ussd": _over_http(_ussd),
    "mqtt": _mqtt,
    "pay": _over_http(_pay),
}
EDGES: Final = tuple(_EDGES)


# -- at one rate


class Steady(msgspec.Struct, frozen=True):
    """What to do for long: so many texts, calls and dialogues a second.

    `tokens` are that of calls and that of dialogues; the p99 of texts is told of every `every_s`.
    """

    seconds: float
    every_s: float
    subscribers: int
    per_s: dict[str, float]
    tokens: tuple[str, str] = ("", "")


async def steady(orders: Steady, told: Callable[[list[int]], Awaitable[int]]) -> dict[str, Any]:
    """Carry out orders; what was measured.

    Args:
        orders: See there.
        told: Gets the SMSC's port; it returns telcod's when that runs.
    """
    loop = asyncio.get_running_loop()
    texts, calls, dialogues = (Traffic(name, per_s=rate) for name, rate in orders.per_s.items())
    crowd = Orders("", (), orders.subscribers, 0, "")
    smsc = OpenSmsc(Crowd(texts, _many(crowd, 1), patient=True))
    server = await loop.create_server(partial(_same, smsc), "127.0.0.1", 0)
    port = await told([server.sockets[0].getsockname()[1]])
    await smsc.bound.wait()
    begun_s = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        pieces = (
            _calls(orders.tokens[0], "c", orders.subscribers, 0),
            _ussd(orders.tokens[1], "d", orders.subscribers, orders.subscribers // 2),
        )
        voice, gateway = (OpenHttp(group, port, made, patient=True) for made in pieces)
        sources: Sources = [(texts, smsc), (calls, voice), (dialogues, gateway)]
        await offer([Phase("steady", orders.seconds, {}, 0)], sources)
        await _quiet(_Stage(sources, Counter, Counter))
        voice.hang_up()
        gateway.hang_up()
    server.close()
    tallies = {traffic.name: traffic.tally for traffic, _ in sources}
    return {
        "traffics": {name: tally.report(orders.seconds) for name, tally in tallies.items()},
        "p99_ms": texts.p99_ms(begun_s, orders.every_s, orders.seconds),
        "faults": [wrong for tally in tallies.values() for wrong in tally.wrong],
    }
